"""One head in front of the camera: pose, rasterise, paint, shade; with everything the picture was made of."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float

from bozzetto.bench.heads_hair import AZIMUTH_CM, HairShell, make_hair_shell, shell_points
from bozzetto.bench.heads_map import PaintMap, make_paint_map
from bozzetto.bench.heads_model import HeadModel
from bozzetto.bench.heads_paint import COLUMNS, LASH, NORMAL, paint_pixels, paint_shell, paint_vertices
from bozzetto.bench.heads_raster import interpolate, rasterise, vertex_normals
from bozzetto.bench.heads_sample import HeadSample, sample_head
from bozzetto.bench.heads_texture import Textures, look_up, make_textures
from bozzetto.bench.stage import GAMMA, HeadView, Placed, Renderer, face_camera, lit_samples, to_camera_axes, view_of

PIVOT_CM = np.array([0.0, -1.0, 6.0])  # point of the head that turns keep in place
SKIN = ("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_ScleraRight")
LASHES = ("M_EyeLashes",)
EYES = ("M_ScleraLeft", "M_ScleraRight")
EYE_SET_BACK_CM = 0.12  # else the cornea comes through a half-closed lid


class HeadRenderer(Renderer[HeadSample]):
    """Renders samples of one head model; holds only what is the same for all heads."""

    def __init__(self, model: HeadModel, size: int, supersample: int = 3) -> None:
        super().__init__(size, supersample)
        self.model = model
        self._names = {name: k for k, name in enumerate(model.expression_names)}
        self._eyes = model.material_vertices(*EYES)
        self._surface, self._lashes = model.material_triangles(*SKIN), model.material_triangles(*LASHES)

    def draw_sample(self, rng: np.random.Generator) -> HeadSample:
        return sample_head(rng, modes=len(self.model.identity_cm))

    @cached_property
    def _with_hair(self) -> np.ndarray:
        return np.concatenate([self._surface, self.shell.triangles + np.int32(len(self.model.mean_cm))])

    @cached_property
    def _hair_weld(self) -> np.ndarray:
        count = len(self.model.mean_cm)
        return np.concatenate([self.model.weld, np.arange(count, count + len(self.shell.carrier), dtype=np.int32)])

    @cached_property
    def paint(self) -> PaintMap:
        return make_paint_map(self.model)

    @cached_property
    def textures(self) -> Textures:
        return make_textures()

    @cached_property
    def shell(self) -> HairShell:
        paint = self.paint
        return make_hair_shell(paint.position_cm, paint.is_skin > 0, paint.hair_cm)

    def shape_cm(self, sample: HeadSample) -> Float[np.ndarray, "v 3"]:
        """Vertices of the sample's person with the sample's expression, the beard's volume included."""
        weights = np.zeros(len(self._names), dtype=np.float32)
        for name, weight in sample.expression.items():
            weights[self._names[name]] = weight
        shape = self.model.shape_cm(sample.identity, weights)
        shape[self._eyes, 2] -= EYE_SET_BACK_CM
        if sample.beard.length_cm > 0:
            paint, beard = self.paint, sample.beard
            lift = np.maximum((beard.cheeks > 0.5) * paint.beard, (beard.chin > 0.5) * paint.chin)
            lift = np.maximum(lift, 0.5 * (beard.lip > 0.5) * paint.moustache) * (paint.lip_cm < -0.1)
            shape = shape + (beard.length_cm * lift)[:, None].astype(np.float32) * paint.outward.astype(np.float32)
        return shape

    def surface(self, sample: HeadSample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Head and hair of a sample: points [P, 3] in cm, triangles [T, 3] and columns BASE to SHELL [P, k]."""
        shape = self.shape_cm(sample)
        columns = paint_vertices(sample, self.paint)
        if sample.hair.thickness_cm == 0:
            return shape, self._surface, columns
        points, along, lift = shell_points(self.shell, sample.hair, shape, self.textures)
        hair = paint_shell(sample, AZIMUTH_CM * self.shell.azimuth_rad.ravel(), along, lift)
        return np.concatenate([shape, points]), self._with_hair, np.concatenate([columns, hair])

    def render_placed(self, sample: HeadSample, placed: Placed) -> HeadView:
        points_cm, triangles, columns = self.surface(sample)
        model_points = to_camera_axes(points_cm - PIVOT_CM) * sample.scale_per_cm
        points = np.ascontiguousarray(model_points @ placed.rotation.T + placed.offset)
        size, k = self.camera.size, self.supersample
        lens = (self.camera.focal_px, self.camera.centre_px, size, k)
        triangle, weights, depth = rasterise(points, triangles, *lens)
        attributes = np.empty((len(points), COLUMNS), dtype=np.float32)
        weld = self.model.weld if triangles is self._surface else self._hair_weld
        attributes[:, NORMAL] = vertex_normals(points, triangles, weld)
        attributes[:, NORMAL.stop :] = columns
        seen = interpolate(attributes, triangles, triangle, weights)
        mask = triangle >= 0

        covered = seen[mask]
        facing = face_camera(covered[:, NORMAL], self.rays[mask])
        samples = lit_samples(sample, placed, depth, mask, facing, paint_pixels(sample, covered, self.textures))
        opacity, lash_depth = self._lash_opacity(sample, points, lens)
        lashes = (opacity > 0) & (lash_depth < depth)
        lash = (LASH * (placed.light[0] + 0.3 * placed.light[1])) ** (1 / GAMMA)
        samples.colour[lashes] += opacity[lashes][:, None] * (lash - samples.colour[lashes])
        return view_of(samples, mask, placed, k)

    def _lash_opacity(
        self, sample: HeadSample, points: np.ndarray, lens: tuple[float, float, int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Opacity [n, n] and depth [n, n] of the lashes: single hairs that thin out toward their tips."""
        triangle, weights, depth = rasterise(points, self._lashes, *lens)
        opacity = np.zeros(triangle.shape)
        there = triangle >= 0
        if there.any():
            along, upper, x = interpolate(self.paint.lash, self._lashes, triangle, weights)[there].T
            hairs = look_up(self.textures.strand, x / np.float32(0.03), np.zeros_like(x))
            thin = np.clip(0.75 + 0.5 * hairs, 0, 1) * np.clip(1 - along, 0, 1) ** 1.5
            opacity[there] = thin * np.where(upper > 0.5, sample.lashes[0], sample.lashes[1])
        return opacity, depth
