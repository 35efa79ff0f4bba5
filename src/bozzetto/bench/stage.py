"""What all families of rendered heads share: the stage. Pose, camera, light, background, and from samples to pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from bozzetto.types import Camera

PIVOT = np.array([0.0, 0.018, 1.0])  # where the point of a head that turns keep in place stands, scene units
FAR = 1.1  # what lies farther (nape, shoulders) is seen but has no part in the truth: no depth net can express it
GAMMA = 1.6  # image = (albedo x shading) ^ (1 / GAMMA)


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


@runtime_checkable
class Staged(Protocol):
    """What the stage asks of a sample, whatever it is a sample of."""

    @property
    def pose_rad(self) -> Float[np.ndarray, " 3"]: ...  # rx, ry, rz about the pivot

    @property
    def shift(self) -> Float[np.ndarray, " 3"]: ...  # scene units

    @property
    def light(self) -> Float[np.ndarray, " 4"]: ...  # ambient, diffuse, dx, dy in the camera's frame

    @property
    def background(self) -> Float[np.ndarray, "2 3"]: ...  # display RGB at the two ends of the gradient

    @property
    def background_blobs(self) -> Float[np.ndarray, "blobs 6"]: ...  # x, y, radius in picture widths, RGB added

    @property
    def background_angle_rad(self) -> float: ...


S = TypeVar("S", bound=Staged)


@dataclass(frozen=True)
class Placed:
    """A head's place before the camera: a model point m (y up, z toward the viewer, scene units, pivot at 0) goes to
    rotation (m_x, -m_y, -m_z) + offset."""

    rotation: Float[np.ndarray, "3 3"]
    offset: Float[np.ndarray, " 3"]  # scene units
    light: Float[np.ndarray, " 4"]
    toward_light: Float[np.ndarray, " 3"]  # unit, camera frame
    view: Float[np.ndarray, " 6"]


class Renderer(ABC, Generic[S]):
    """Renders samples of one family; holds only what is the same for all of its heads."""

    def __init__(self, size: int, supersample: int = 3) -> None:
        """`supersample` is odd, so that the middle sample of a pixel lies on its centre."""
        if supersample % 2 == 0 or supersample < 1:
            raise ValueError(f"supersample must be odd, got {supersample}")
        self.camera, self.supersample = Camera(size), supersample

    @abstractmethod
    def draw_sample(self, rng: np.random.Generator) -> S:
        """A new head's numbers."""

    @abstractmethod
    def render_placed(self, sample: S, placed: Placed) -> HeadView:
        """A head where and as it is lit."""

    @cached_property
    def rays(self) -> np.ndarray:
        """Unit vectors of all samples, float32 [n, n, 3], n = size x supersample."""
        return rays_of(self.camera, self.supersample).astype(np.float32)

    def render(
        self,
        sample: S,
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
        toward = light_direction(light) if toward_light is None else toward_light
        view = view_about_centre(rotation, pose, shift)
        return self.render_placed(sample, Placed(rotation, PIVOT + shift, light, toward, view))

    def canonical(self, sample: S) -> HeadView:
        """The head as the view of zeros shows it: unturned, unshifted, under its own camera-frame light."""
        return self.render(sample, pose_rad=np.zeros(3), shift=np.zeros(3))

    def turned(self, sample: S, yaw_rad: float) -> HeadView:
        """The head from another side: only yawed, unshifted, the light turning with the head as on a baked texture."""
        pose = np.array([0.0, yaw_rad, 0.0])
        turn = rotation_from_rpy(pose) @ rotation_from_rpy(sample.pose_rad).T
        return self.render(sample, pose, shift=np.zeros(3), toward_light=turn @ light_direction(sample.light))


@dataclass(frozen=True)
class Samples:
    """All samples of a picture, n = size x supersample; 0 (depth: infinity) where they miss the head."""

    depth: Float[np.ndarray, "n n"]  # scene units
    normal: Float[np.ndarray, "n n 3"]  # unit, toward the camera
    albedo: Float[np.ndarray, "n n 3"]  # linear RGB
    shading: Float[np.ndarray, "n n"]
    colour: Float[np.ndarray, "n n 3"]  # display RGB, background included


def lit_samples(
    sample: Staged,
    placed: Placed,
    depth: Float[np.ndarray, "n n"],
    mask: Bool[np.ndarray, "n n"],
    facing: Float[np.ndarray, "m 3"],
    painted: Float[np.ndarray, "m 3"],
) -> Samples:
    """Shade the m samples of the mask, whose normals and linear albedo are given, and lay them on the background."""
    n = len(depth)
    normal, shading, albedo = (np.zeros((n, n, *c), dtype=np.float32) for c in ((3,), (), (3,)))
    light, toward = placed.light, placed.toward_light.astype(np.float32)
    normal[mask], albedo[mask] = facing, painted
    shading[mask] = lit = light[0] + light[1] * np.maximum(0, facing @ toward)
    colour = background(sample, n)
    colour[mask] = np.clip(painted * lit[:, None].astype(np.float32), 0, 1) ** np.float32(1 / GAMMA)
    return Samples(depth, normal, albedo, shading, colour)


def view_of(samples: Samples, mask: Bool[np.ndarray, "n n"], placed: Placed, k: int) -> HeadView:
    """Pixels of k x k samples: colours are averaged, the truth is that of the middle sample."""
    centre = slice(k // 2, None, k)
    inside = samples.depth[centre, centre] <= FAR
    return HeadView(
        image=pool(samples.colour, k).astype(np.float32),
        depth=np.where(inside, samples.depth[centre, centre], np.nan).astype(np.float32),
        normal=(samples.normal[centre, centre] * inside[..., None]).astype(np.float32),
        albedo=(pool_masked(samples.albedo, mask, k) * inside[..., None]).astype(np.float32),
        shading=(samples.shading[centre, centre] * inside).astype(np.float32),
        mask=inside,
        view=placed.view.astype(np.float32),
        light=placed.light.astype(np.float32),
    )


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


def background(sample: Staged, n: int) -> Float[np.ndarray, "n n 3"]:
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
