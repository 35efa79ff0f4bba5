"""Augmentations that the discriminator sees on real and generated pictures alike (Karras et al. 2020, "Training
Generative Adversarial Networks with Limited Data"), and those of the data set itself.

Every picture draws each kind with probability p. Geometry is one affine map and one bilinear sampling; colour is one
affine map of RGB. Both are linear in the pictures, so gradients of any order pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Adaptive:
    """Moves the probability p so that D's outputs on real pictures keep a sign of `target` on average (section 3.1)."""

    target: float = 0.6
    interval: int = 4  # steps between two moves
    speed_images: float = 100_000.0  # images in which p can go from 0 to 1
    p_max: float = 0.8

    def moved(self, p: float, sign: float, batch: int) -> float:
        """p after one move; `sign` is the mean sign of D on real pictures since the last one."""
        step = batch * self.interval / self.speed_images
        return min(max(p + math.copysign(step, sign - self.target), 0.0), self.p_max)


def shift_and_mirror(
    images: Float[Tensor, "b 3 s s"], shift: float, mirror: bool, generator: torch.Generator
) -> Float[Tensor, "b 3 s s"]:
    """Data-set augmentation: whole-pixel shifts up to `shift` of the side (edges reflected), mirror images by chance.

    Shifts give the generator something to vary that too-aligned pictures lack (advice of GAN2Shape's authors).
    """
    b, _, size, _ = images.shape
    if mirror:
        flip = torch.rand(b, generator=generator) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
    most = round(shift * size)
    if most == 0:
        return images
    dy, dx = torch.randint(-most, most + 1, (2, b, 1), generator=generator)
    index = torch.arange(size)
    rows, columns = (_reflected(index[None] + d, size) for d in (dy, dx))
    batch = torch.arange(b)[:, None, None]
    return images.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reflected(index: Tensor, size: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)


def augment(images: Float[Tensor, "b 3 s s"], p: float, generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    """Random geometry and colour of each picture; p = 0 returns the pictures themselves."""
    if p <= 0:
        return images
    b = images.shape[0]
    theta = _geometry(b, p, generator).to(images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=True)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    matrix, offset = (t.to(images.device) for t in _colour(b, p, generator))
    return torch.einsum("bij,bjhw->bihw", matrix, moved) + offset[:, :, None, None]


def _chance(b: int, p: float, generator: torch.Generator) -> Float[Tensor, " b"]:
    return (torch.rand(b, generator=generator) < p).float()


def _normal(b: int, sd: float, p: float, generator: torch.Generator) -> Float[Tensor, " b"]:
    draw = torch.randn(b, generator=generator) * sd
    return draw * _chance(b, p, generator)


def _geometry(b: int, p: float, generator: torch.Generator) -> Float[Tensor, "b 2 3"]:
    """Mirror, whole shift, scale, rotation, stretch, small shift, with the paper's ranges; no quarter turns, which
    would teach the generator to lay heads on their side at large p."""
    flip = 1 - 2 * _chance(b, p, generator) * (torch.rand(b, generator=generator) < 0.5)
    scale = torch.exp2(_normal(b, 0.2, p, generator))
    stretch = torch.exp2(_normal(b, 0.2, p, generator))
    angle = (torch.rand(b, generator=generator) * 2 - 1) * (math.pi / 8) * _chance(b, p, generator)
    shift = (torch.rand(b, 2, generator=generator) * 2 - 1) * 0.25 * _chance(b, p, generator)[:, None]
    shift = shift + torch.randn(b, 2, generator=generator) * 0.125 * _chance(b, p, generator)[:, None]
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = scale * stretch, scale / stretch
    first = torch.stack((flip * x * cos, -x * sin, shift[:, 0]), dim=1)
    second = torch.stack((flip * y * sin, y * cos, shift[:, 1]), dim=1)
    return torch.stack((first, second), dim=1)


def _colour(b: int, p: float, generator: torch.Generator) -> tuple[Float[Tensor, "b 3 3"], Float[Tensor, "b 3"]]:
    """Brightness, contrast, hue rotation about grey, saturation, with the paper's ranges."""
    brightness = _normal(b, 0.2, p, generator)
    contrast = torch.exp2(_normal(b, 0.5, p, generator))
    hue = (torch.rand(b, generator=generator) * 2 - 1) * math.pi * _chance(b, p, generator)
    saturation = torch.exp2(_normal(b, 1.0, p, generator))
    grey = torch.full((3, 3), 1 / 3)
    axis = 1 / math.sqrt(3)
    cross = torch.tensor([[0.0, -axis, axis], [axis, 0.0, -axis], [-axis, axis, 0.0]])
    cos, sin = (f(hue)[:, None, None] for f in (torch.cos, torch.sin))
    turn = grey + cos * (torch.eye(3) - grey) + sin * cross  # Rodrigues' rotation about the grey axis
    keep = grey + saturation[:, None, None] * (torch.eye(3) - grey)
    matrix = contrast[:, None, None] * (keep @ turn)
    return matrix, (brightness * contrast)[:, None].expand(-1, 3)
