"""The frozen records every part of the package speaks in.

Conventions (docs/conventions.md): x right, y down, z forward, pixel centres at integers, images in [0, 1],
depth in scene units with the object at depth 1, normals unit length and pointing toward the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

BORDER_COLUMNS = 2  # on either side, pulled to `DepthRange.border` by the depth network's head: no shape there


@dataclass(frozen=True)
class DepthRange:
    """The interval of depths, in scene units, that the depth network can express (Pan: 0.9 to 1.1)."""

    near: float = 0.9
    far: float = 1.1

    @property
    def border(self) -> float:
        """Depth that the outermost left and right columns are pulled to: 0.7 far + 0.3 near (Pan)."""
        return 0.7 * self.far + 0.3 * self.near

    @property
    def middle(self) -> float:
        return 0.5 * (self.near + self.far)

    @property
    def half(self) -> float:
        return 0.5 * (self.far - self.near)


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with square pixels whose optical axis meets the middle of a size x size image."""

    size: int
    fov_deg: float = 10.0

    @property
    def focal_px(self) -> float:
        """Focal length in pixels: (S - 1) / 2 / tan(fov / 2)."""
        return (self.size - 1) / 2 / math.tan(math.radians(self.fov_deg) / 2)

    @property
    def centre_px(self) -> float:
        return (self.size - 1) / 2


# The order of the six numbers of a view and of the four of a light, as tensors [B, 6] and [B, 4].
VIEW_NAMES = ("rx", "ry", "rz", "tx", "ty", "tz")  # radians (pitch, yaw, roll), then scene units
LIGHT_NAMES = ("ambient", "diffuse", "dx", "dy")  # normalise(-dx, -dy, -1) points toward the light: dy > 0 from above


@dataclass(frozen=True)
class Factors:
    """What a photo is taken apart into. One object (n = 1) may be seen in many views and lights; otherwise n = b."""

    depth: Float[Tensor, "n 1 h w"]  # canonical depth, scene units
    albedo: Float[Tensor, "n 3 h w"]  # [0, 1]
    view: Float[Tensor, "b 6"]  # rx, ry, rz [rad], tx, ty, tz [scene units]
    light: Float[Tensor, "b 4"]  # ambient, diffuse [0, 1], dx, dy


@dataclass(frozen=True)
class Rendering:
    """What the camera sees of some factors, with the intermediate pictures that losses and exports need."""

    image: Float[Tensor, "b 3 h w"]  # [0, 1] by construction up to a + b > 1; not clamped
    mask: Float[Tensor, "b 1 h w"]  # 1 where a face of the object covers the pixel, else 0
    depth: Float[Tensor, "b 1 h w"]  # depth seen from the camera, scene units
    grid: Float[Tensor, "b h w 2"]  # where in the canonical frame each pixel reads, [-1, 1], x first
    texture: Float[Tensor, "b 3 h w"]  # canonical albedo x shading
    normal: Float[Tensor, "b 3 h w"]  # canonical, unit, toward the camera (z <= 0)
    diffuse: Float[Tensor, "b 1 h w"]  # max(0, n . direction), canonical
    shading: Float[Tensor, "b 1 h w"]  # ambient + diffuse strength x diffuse, canonical


@dataclass(frozen=True)
class ThroughGan:
    """The object turned and relit, each rendering brought back to the generator's nearest picture."""

    turn: UInt8[Tensor, "n 3 s s"]  # 0 to 255, along the views
    turn_view: Float[Tensor, "n 6"]  # rx, ry, rz [rad], tx, ty, tz [scene units]; in the photo's light
    relight: UInt8[Tensor, "m 3 s s"]  # along the lights
    relight_light: Float[Tensor, "m 4"]  # ambient, diffuse, dx, dy; in the photo's pose
