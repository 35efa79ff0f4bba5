"""Where the camera and the light go in films and rows of pictures: pure functions to views [n, 6] and lights [n, 4]."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

MAX_YAW_DEG = 30.0
MAX_PITCH_DEG = 15.0
CIRCLE_DEG = 15.0
# Pan's light jitter r moves strength from ambient to diffuse, shading = a - 0.6 r + (b + r) n.d; it goes up to 0.6.
_JITTER = 0.4
_MIN_AMBIENT = 0.2


def _views(yaw_rad: Float[Tensor, "n"], pitch_rad: Float[Tensor, "n"] | None = None) -> Float[Tensor, "n 6"]:
    view = torch.zeros(len(yaw_rad), 6)
    view[:, 1] = yaw_rad
    if pitch_rad is not None:
        view[:, 0] = pitch_rad
    return view


def turn_path(count: int, max_yaw_deg: float = MAX_YAW_DEG, max_pitch_deg: float = 0.0) -> Float[Tensor, "n 6"]:
    """One closed swing about the canonical pose: frontal, to one side, to the other, and back to where frame 0 follows.

    Yaw is a sine over the frames and pitch its cosine (an ellipse when `max_pitch_deg` > 0). Radians and scene units.
    """
    phase = torch.arange(count) * (2 * math.pi / max(count, 1))
    return _views(math.radians(max_yaw_deg) * phase.sin(), math.radians(max_pitch_deg) * phase.cos())


def nod_path(count: int, max_pitch_deg: float = MAX_PITCH_DEG) -> Float[Tensor, "n 6"]:
    """One closed nod about the canonical pose; only the pitch moves, as a sine over the frames."""
    phase = torch.arange(count) * (2 * math.pi / max(count, 1))
    return _views(torch.zeros(count), math.radians(max_pitch_deg) * phase.sin())


def circle_path(count: int, radius_deg: float = CIRCLE_DEG) -> Float[Tensor, "n 6"]:
    """One round of the nose on a circle: yaw and pitch a quarter of a round apart, equally far."""
    return turn_path(count, radius_deg, radius_deg)


def there_and_back(count: int, kept: int) -> Float[Tensor, "n"]:
    """Places in a row of `kept` pictures, as fractions, for one closed swing: from the middle to the end, to the
    beginning and back to where frame 0 follows."""
    phase = torch.arange(count) * (2 * math.pi / max(count, 1))
    return (kept - 1) / 2 * (1 + phase.sin())


def turn_row(count: int = 5, max_yaw_deg: float = MAX_YAW_DEG) -> Float[Tensor, "n 6"]:
    """Views with evenly spaced yaw from -max to +max."""
    return _views(torch.linspace(-math.radians(max_yaw_deg), math.radians(max_yaw_deg), count))


def contrast_light(light: Float[Tensor, "4"]) -> tuple[float, float]:
    """Ambient and diffuse strength for showing shape: the photo's own with Pan's jitter well up in its range."""
    ambient, diffuse = float(light[0]), float(light[1])
    return max(_MIN_AMBIENT, ambient - 0.6 * _JITTER), min(1.0, diffuse + _JITTER)


def _lights(light: Float[Tensor, "4"], dx: Float[Tensor, "n"], dy: Float[Tensor, "n"]) -> Float[Tensor, "n 4"]:
    ambient, diffuse = contrast_light(light)
    return torch.stack((torch.full_like(dx, ambient), torch.full_like(dx, diffuse), dx, dy), dim=1)


def relight_path(count: int, light: Float[Tensor, "4"], reach: float = 1.0) -> Float[Tensor, "n 4"]:
    """One round of the light about the line of sight: from above, the left, below, the right, and back.

    `reach` is the tangent of the angle between light and line of sight (1: 45 degrees). dx > 0 is from the left.
    """
    phase = torch.arange(count) * (2 * math.pi / max(count, 1))
    return _lights(light, reach * phase.sin(), reach * phase.cos())


def relight_row(light: Float[Tensor, "4"], count: int = 5, reach: float = 1.2) -> Float[Tensor, "n 4"]:
    """Lights from the left over above to the right on a half circle."""
    angle = torch.linspace(0, math.pi, count)
    return _lights(light, reach * angle.cos(), reach * angle.sin())


def gan_views() -> Float[Tensor, "25 6"]:
    """Views of the pictures through the GAN: a yaw of -30 to 30 degrees."""
    return turn_row(25)


def gan_lights(light: Float[Tensor, "4"]) -> Float[Tensor, "17 4"]:
    """Lights of the pictures through the GAN: the half circle, as far out as step 2 draws them."""
    return relight_row(light, 17, reach=0.8)
