"""A symmetric textured dome under known views and lights, and a generator whose latents are just these."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bozzetto.gan import Gan
from bozzetto.gan.ops import LRELU_SLOPE
from bozzetto.geometry.render import render
from bozzetto.types import Camera, Factors

SIZE = 32
CAMERA = Camera(SIZE)
TICKS = (torch.arange(SIZE) - (SIZE - 1) / 2) / ((SIZE - 1) / 2)  # exactly symmetric
RADIUS = (TICKS[:, None] ** 2 + TICKS[None] ** 2).sqrt()[None, None]

DEPTH = 1.03 - 0.09 * torch.exp(-2.5 * RADIUS**2)  # [1, 1, S, S], scene units
MASK = torch.sigmoid((0.8 - RADIUS) * 10)
MIRROR_LIGHT = torch.tensor((1.0, 1.0, -1.0, 1.0))  # the light's side changes


def albedo(seed: int = 0) -> Tensor:
    """Symmetric blotches, [1, 3, S, S], in [0.2, 0.8]."""
    coarse = torch.rand(1, 3, SIZE // 2, SIZE // 2, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear", align_corners=True)
    return 0.2 + 0.3 * (fine + fine.flip(3))


def pictures(view: Tensor, light: Tensor, seed: int = 0, depth: Tensor = DEPTH) -> Tensor:
    """Renderings [n, 3, S, S] under views [n, 6] and lights [n, 4], grey where there is no object."""
    seen = render(Factors(depth, albedo(seed), view, light), CAMERA)
    return seen.image + 0.3 * (1 - seen.mask)


class Turntable(Gan):
    """Its latent [1, 10] of a picture is the picture's view and light."""

    def __init__(self) -> None: ...

    def image_from_w(self, w: Tensor, *args: object, **kwargs: object) -> Tensor:
        return pictures(w[:, 0, :6], w[:, 0, 6:]) * 2 - 1


YAW, SIDE = 0.12, 0.25  # radians and light's direction, of one standard deviation


class Crowd(Gan):
    """Four numbers make a picture: yaw, the side of the light, its strength, and one that does nothing.

    z is normally distributed, and w is z through the leaky ReLU that ends a mapping.
    """

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.info: Any = SimpleNamespace(num_ws=2, z_dim=4, w_dim=4, resolution=SIZE, num_classes=0)

    def w_from_z(self, z: Tensor, *args: object, **kwargs: object) -> Tensor:
        return F.leaky_relu(z, LRELU_SLOPE)[:, None].expand(-1, 2, -1)

    def w_samples(self, n: int = 4096, seed: int = 0) -> Tensor:
        return self.w_from_z(torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)))[:, 0]

    def image_from_w(self, w: Tensor, *args: object, **kwargs: object) -> Tensor:
        yaw, side, strength, _ = F.leaky_relu(w if w.ndim == 2 else w.mean(dim=1), 1 / LRELU_SLOPE).unbind(dim=1)
        view = yaw[:, None] * torch.tensor((0.0, YAW, 0.0, 0.0, 0.0, 0.0))
        light = torch.stack((0.4 + 0.03 * strength, 0.5 + 0 * side, SIDE * side, 0.2 + 0 * side), dim=1)
        return pictures(view, light) * 2 - 1
