"""One head in front of the camera: pose, rasterise, paint, shade; with everything the picture was made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from bozzetto.bench.heads_hair import AZIMUTH_CM, HairShell, make_hair_shell, shell_points
from bozzetto.bench.heads_map import PaintMap, make_paint_map
from bozzetto.bench.heads_model import HeadModel
from bozzetto.bench.heads_paint import COLUMNS, LASH, NORMAL, paint_pixels, paint_shell, paint_vertices
from bozzetto.bench.heads_raster import interpolate, rasterise, vertex_normals
from bozzetto.bench.heads_sample import HeadSample
from bozzetto.bench.heads_texture import Textures, look_up, make_textures
from bozzetto.types import Camera

PIVOT_CM = np.array([0.0, -1.0, 6.0])  # point of the head that turns keep in place
PIVOT = np.array([0.0, 0.018, 1.0])  # where it stands before the camera, scene units
FAR = 1.1  # what lies farther (nape, shoulders) is seen but has no part in the truth: no depth net can express it
GAMMA = 1.6  # image = (albedo x shading) ^ (1 / GAMMA)
SKIN = ("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_ScleraRight")
LASHES = ("M_EyeLashes",)
EYES = ("M_ScleraLeft", "M_ScleraRight")
EYE_SET_BACK_CM = 0.12  # else the cornea comes through a half-closed lid


@dataclass(frozen=True)
class HeadView:
    """One rendered head, H = W = size. NaN (depth) or 0 (the rest) off the mask."""

    image: Float[np.ndarray, "h w 3"]  # display RGB in [0, 1], background and lashes included
    depth: Float[np.ndarray, "h w"]  # z of the surface at the pixel's centre, scene units
    normal: Float[np.ndarray, "h w 3"]  # unit, toward the camera, camera frame
    albedo: Float[np.ndarray, "h w 3"]  # linear RGB
    shading: Float[np.ndarray, "h w"]  # ambient + diffuse x max(0, n . l)
    mask: Bool[np.ndarray, "h w"]  # the pixel's centre sees the head, nearer than FAR
    view: Float[np.ndarray, " 6"]  # rx, ry, rz [rad], tx, ty, tz [scene units] about (0, 0, 1)
    light: Float[np.ndarray, " 4"]  # ambient, diffuse, dx, dy in the camera's frame


class HeadRenderer:
    """Renders samples of one head model; holds only what is the same for all heads."""

    def __init__(self, model: HeadModel, size: int, supersample: int = 3) -> None:
        """`supersample` is odd, so that the middle sample of a pixel lies on its centre."""
        if supersample % 2 == 0 or supersample < 1:
            raise ValueError(f"supersample must be odd, got {supersample}")
        self.model, self.camera, self.supersample = model, Camera(size), supersample
        self._names = {name: k for k, name in enumerate(model.expression_names)}
        self._eyes = model.material_vertices(*EYES)
        self._surface, self._lashes = model.material_triangles(*SKIN), model.material_triangles(*LASHES)

    @cached_property
    def _rays(self) -> np.ndarray:
        return rays_of(self.camera, self.supersample).astype(np.float32)

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

    def render(
        self,
        sample: HeadSample,
        pose_rad: Float[np.ndarray, " 3"] | None = None,
        light: Float[np.ndarray, " 4"] | None = None,
        shift: Float[np.ndarray, " 3"] | None = None,
        toward_light: Float[np.ndarray, " 3"] | None = None,
    ) -> HeadView:
        """Render a head, in its own pose, shift and light unless others are given.

        `toward_light` is a unit vector in the camera's frame that replaces the direction in `light`; it may point
        anywhere, which (dx, dy) cannot.
        """
        pose = sample.pose_rad if pose_rad is None else pose_rad
        light = sample.light if light is None else light
        shift = sample.shift if shift is None else shift
        rotation = rotation_from_rpy(pose)
        points_cm, triangles, columns = self.surface(sample)
        model_points = to_camera_axes(points_cm - PIVOT_CM) * sample.scale_per_cm
        points = np.ascontiguousarray(model_points @ rotation.T + PIVOT + shift)
        toward = light_direction(light) if toward_light is None else toward_light
        return self._render(sample, points, triangles, columns, light, toward, view_about_centre(rotation, pose, shift))

    def canonical(self, sample: HeadSample) -> HeadView:
        """The head as the view of zeros shows it: unturned, unshifted, under its own camera-frame light."""
        return self.render(sample, pose_rad=np.zeros(3), shift=np.zeros(3))

    def turned(self, sample: HeadSample, yaw_rad: float) -> HeadView:
        """The head from another side: only yawed, unshifted, the light turning with the head as on a baked texture."""
        pose = np.array([0.0, yaw_rad, 0.0])
        turn = rotation_from_rpy(pose) @ rotation_from_rpy(sample.pose_rad).T
        return self.render(sample, pose, shift=np.zeros(3), toward_light=turn @ light_direction(sample.light))

    def _render(
        self,
        sample: HeadSample,
        points: np.ndarray,
        triangles: np.ndarray,
        columns: np.ndarray,
        light: np.ndarray,
        toward: np.ndarray,
        view: np.ndarray,
    ) -> HeadView:
        size, k = self.camera.size, self.supersample
        lens = (self.camera.focal_px, self.camera.centre_px, size, k)
        triangle, weights, depth = rasterise(points, triangles, *lens)
        attributes = np.empty((len(points), COLUMNS), dtype=np.float32)
        weld = self.model.weld if triangles is self._surface else self._hair_weld
        attributes[:, NORMAL] = vertex_normals(points, triangles, weld)
        attributes[:, NORMAL.stop :] = columns
        seen = interpolate(attributes, triangles, triangle, weights)
        mask = triangle >= 0

        n = size * k
        normal, shading, albedo = (np.zeros((n, n, *c), dtype=np.float32) for c in ((3,), (), (3,)))
        covered = seen[mask]
        normal[mask] = facing = face_camera(covered[:, NORMAL], self._rays[mask])
        shading[mask] = lit = light[0] + light[1] * np.maximum(0, facing @ toward.astype(np.float32))
        albedo[mask] = painted = paint_pixels(sample, covered, self.textures)
        colour = background(sample, n)
        colour[mask] = np.clip(painted * lit[:, None].astype(np.float32), 0, 1) ** np.float32(1 / GAMMA)
        opacity, lash_depth = self._lash_opacity(sample, points, lens)
        lashes = (opacity > 0) & (lash_depth < depth)
        lash = (LASH * (light[0] + 0.3 * light[1])) ** (1 / GAMMA)
        colour[lashes] += opacity[lashes][:, None] * (lash - colour[lashes])

        centre = slice(k // 2, None, k)
        inside = depth[centre, centre] <= FAR
        return HeadView(
            image=pool(colour, k).astype(np.float32),
            depth=np.where(inside, depth[centre, centre], np.nan).astype(np.float32),
            normal=(normal[centre, centre] * inside[..., None]).astype(np.float32),
            albedo=(pool_masked(albedo, mask, k) * inside[..., None]).astype(np.float32),
            shading=(shading[centre, centre] * inside).astype(np.float32),
            mask=inside,
            view=view.astype(np.float32),
            light=light.astype(np.float32),
        )

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


def to_camera_axes(points: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """The head model's axes (y up, z toward the viewer) to the camera's (y down, z forward)."""
    return points.astype(np.float64) * (1, -1, -1)


def rotation_from_rpy(angles_rad: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Rz(rz) Ry(ry) Rx(rx)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles_rad), np.sin(angles_rad)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def view_about_centre(rotation: np.ndarray, pose_rad: np.ndarray, shift: np.ndarray) -> Float[np.ndarray, " 6"]:
    """The same motion as a view: the turn is about (0, 0, 1) there and about the pivot here.

    R (p - pivot) + pivot + shift = R (p - c) + c + t   with   t = shift + (I - R)(pivot - c), c = (0, 0, 1).
    """
    offset = PIVOT - (0, 0, 1)
    return np.concatenate([pose_rad, shift + offset - rotation @ offset])


def light_direction(light: Float[np.ndarray, " 4"]) -> Float[np.ndarray, " 3"]:
    """Unit vector toward the light: normalise(-dx, -dy, -1)."""
    toward = np.array([-light[2], -light[3], -1.0])
    return toward / np.linalg.norm(toward)


def rays_of(camera: Camera, k: int) -> Float[np.ndarray, "n n 3"]:
    """Unit vectors from the camera through k x k samples of every pixel."""
    lateral = ((np.arange(camera.size * k) + 0.5) / k - 0.5 - camera.centre_px) / camera.focal_px
    ray = np.stack([*np.broadcast_arrays(lateral[None, :], lateral[:, None], 1.0)], -1)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def face_camera(normal: Float[np.ndarray, "m 3"], ray: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3"]:
    """Unit normals, bent back where interpolation turned them past the silhouette, away from the camera."""
    away = np.maximum(0, np.einsum("mc,mc->m", normal, ray))
    bent = normal - away[:, None] * ray
    return bent / np.maximum(np.sqrt(np.einsum("mc,mc->m", bent, bent)), 1e-12)[:, None]


def background(sample: HeadSample, n: int) -> Float[np.ndarray, "n n 3"]:
    """A gradient between the sample's two background colours, with blurred blobs, display RGB."""
    axis = np.linspace(-0.5, 0.5, n)
    a = sample.background_angle_rad
    t = np.clip(0.5 + (np.cos(a) * axis[None, :] + np.sin(a) * axis[:, None]) / 1.4, 0, 1)[..., None]
    colour = sample.background[0] * (1 - t) + sample.background[1] * t
    for x, y, radius, *added in sample.background_blobs:
        across, down = (np.exp(-(((axis + 0.5 - c) / radius) ** 2)) for c in (x, y))
        colour += down[:, None, None] * across[None, :, None] * np.array(added)
    return np.clip(colour, 0, 1)


def pool(values: np.ndarray, k: int) -> np.ndarray:
    """Mean of every k x k block of an [n, n, c] array."""
    total = sum(values[i::k, j::k].astype(np.float64) for i in range(k) for j in range(k))
    return np.asarray(total) / (k * k)


def pool_masked(values: np.ndarray, mask: np.ndarray, k: int) -> np.ndarray:
    """Mean over the masked samples of every k x k block; 0 where there are none."""
    weight = mask[..., None].astype(np.float64)
    return pool(values * weight, k) / np.maximum(pool(weight, k), 1e-9)
