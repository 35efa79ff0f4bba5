"""One animal's head in front of the camera: rays to the solid, paint, shade; with everything the picture is made of."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float

from bozzetto.bench.animals_paint import paint
from bozzetto.bench.animals_sample import AnimalSample, sample_animal
from bozzetto.bench.animals_shape import Solid, build
from bozzetto.bench.heads_texture import Textures, make_textures
from bozzetto.bench.implicit import Ellipsoid, normals, pack, trace
from bozzetto.bench.stage import PIVOT, HeadView, Placed, Renderer, face_camera, lit_samples, rays_of, view_of
from bozzetto.types import Camera


class AnimalRenderer(Renderer[AnimalSample]):
    """Renders samples of animals' heads."""

    def draw_sample(self, rng: np.random.Generator) -> AnimalSample:
        return sample_animal(rng)

    @cached_property
    def textures(self) -> Textures:
        return make_textures()

    def render_placed(self, sample: AnimalSample, placed: Placed) -> HeadView:
        solid = build(sample.shape)
        table = pack(solid.parts)
        pivot, scale = frame(solid, sample.share, self.camera)
        shape = self.rays.shape[:2]
        rays = self._exact_rays
        toward_model = placed.rotation * (1, -1, -1)  # columns: model axes in the camera's frame
        origin = pivot - placed.offset @ toward_model / scale
        directions = np.ascontiguousarray(rays @ toward_model)
        distance = trace(table, origin, directions)
        hit = np.isfinite(distance)
        points = origin + distance[hit, None] * directions[hit]
        outward = normals(table, points)
        depth = np.full(len(rays), np.inf)
        depth[hit] = distance[hit] * scale * rays[hit, 2]
        facing = face_camera(outward @ toward_model.T, rays[hit])
        albedo = paint(sample, solid, table, points, outward, self.textures)
        samples = lit_samples(sample, placed, depth.reshape(shape), hit.reshape(shape), facing, albedo)
        return view_of(samples, hit.reshape(shape), placed, self.supersample)

    @cached_property
    def _exact_rays(self) -> Float[np.ndarray, "m 3"]:
        return rays_of(self.camera, self.supersample).reshape(-1, 3)


def frame(solid: Solid, share: float, camera: Camera) -> tuple[Float[np.ndarray, " 3"], float]:
    """The solid's pivot, and scene units per solid unit: the head without neck is centred and takes `share` of the
    picture's width at depth 1; the pivot lies halfway between nose and ears."""
    boxes = np.array([extent(part) for i, part in enumerate(solid.parts) if i not in solid.body and not part.cut])
    low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
    width = (camera.size - 1) / camera.focal_px
    scale = share * width / float(max(high[:2] - low[:2]))
    middle = 0.5 * (low + high)
    # The stage puts the pivot at PIVOT; the middle of the head shall be seen at the middle of the picture.
    pivot = np.array([0.0, middle[1] - PIVOT[1] / scale, 0.5 * solid.nose_tip[2] + 0.05])
    return pivot, scale


def extent(part: Ellipsoid) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Lower and upper corner of the box around an ellipsoid, its taper left out."""
    turn = np.eye(3) if part.rotation is None else part.rotation
    half = np.sqrt(((turn * np.array(part.semi)) ** 2).sum(1))
    return np.array(part.centre) - half, np.array(part.centre) + half
