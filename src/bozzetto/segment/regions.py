"""Regions of binary and soft masks: growing inside a mask, filling holes, keeping the object in the middle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def spread(labels: Int[Tensor, "b 1 h w"], allowed: Bool[Tensor, "b 1 h w"]) -> Int[Tensor, "b 1 h w"]:
    """The largest label >= 0 found in each pixel's 4-connected region of allowed pixels; 0 outside them.

    Labels run along whole rows and columns at a time, both ways, until nothing changes.
    """
    top = int(labels.max()) + 1 if labels.numel() else 1
    labels = labels * allowed
    # A running maximum starts anew behind every wall if the number of walls passed outweighs every label.
    walls = {(dim, back): _turned(~allowed, dim, back).cumsum(dim) * top for dim in (2, 3) for back in (False, True)}
    while True:
        carried = labels
        for (dim, back), passed in walls.items():
            running = (_turned(carried, dim, back) + passed).cummax(dim).values - passed
            carried = _turned(running, dim, back) * allowed
        if torch.equal(carried, labels):
            return labels
        labels = carried


def _turned(values: Tensor, dim: int, back: bool) -> Tensor:
    return values.flip(dim) if back else values


def grow(seed: Bool[Tensor, "b 1 h w"], allowed: Bool[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """All allowed pixels that a 4-connected path of allowed pixels joins to an allowed seed pixel, per item."""
    return spread((seed & allowed).long(), allowed) > 0


def frame(like: Tensor, thickness: int = 1) -> Bool[Tensor, "1 1 h w"]:
    """True on the outermost `thickness` rows and columns of an image of the given tensor's height and width."""
    edge = torch.ones(1, 1, *like.shape[-2:], dtype=torch.bool, device=like.device)
    edge[..., thickness:-thickness, thickness:-thickness] = False
    return edge


def disc(like: Tensor, radius: float) -> Bool[Tensor, "1 1 h w"]:
    """True where the distance from the image's middle is at most `radius` half widths (or half heights)."""
    height, width = like.shape[-2:]
    y = torch.linspace(-1, 1, height, device=like.device)[:, None]
    x = torch.linspace(-1, 1, width, device=like.device)[None, :]
    return (x.square() + y.square() <= radius**2)[None, None]


def fill_holes(inside: Bool[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """The mask with everything filled that no path outside it joins to the frame of the image."""
    return ~grow(frame(inside).expand_as(inside), ~inside)


def largest_region(inside: Bool[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """The 4-connected region with the most pixels, per item (an empty mask stays empty)."""
    batch, _, height, width = inside.shape
    ids = torch.arange(1, height * width + 1, device=inside.device).view(1, 1, height, width)
    labels = spread(ids.expand(batch, -1, -1, -1), inside)
    kept = torch.zeros_like(inside)
    for item in range(batch):
        values, counts = labels[item][inside[item]].unique(return_counts=True)
        if len(values):
            kept[item] = labels[item] == values[counts.argmax()]
    return kept


def steepen(score: Float[Tensor, "b 1 h w"], ramp: float = 0.3) -> Float[Tensor, "b 1 h w"]:
    """A score as a mask: 0 below 0.5 - ramp / 2, 1 above 0.5 + ramp / 2, linear between."""
    return ((score - 0.5) / ramp + 0.5).clamp(0, 1)


def tidy(mask: Float[Tensor, "b 1 h w"], level: float = 0.5) -> Float[Tensor, "b 1 h w"]:
    """A soft mask with islands removed and holes filled: one region, values above `level` exactly inside it.

    Pixels of the largest region keep their value, filled holes become 1, and pixels beside the region keep the soft
    edge they have; everything else becomes 0.
    """
    body = largest_region(mask > level)
    whole = fill_holes(body)
    near = F.max_pool2d(whole.to(mask.dtype), 3, stride=1, padding=1) > 0
    soft_edge = mask.clamp(max=level) * (near & ~whole)
    return torch.where(whole & ~body, torch.ones_like(mask), mask * body + soft_edge)
