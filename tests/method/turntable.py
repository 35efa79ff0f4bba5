"""A symmetric textured dome under known views and lights, and a generator whose latents are just these."""

from __future__ import annotations

import torch
from torch import Tensor

from bozzetto.gan import Gan
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
