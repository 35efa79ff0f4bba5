"""Finding the square of a photo in which the object lies as it does in a generator's training pictures.

The mask of the whole photo is compared with the training pictures' mean mask at every place and in every size, squared
difference a cell. A margin around the mean mask counts too, since there the object has ended: above it (over a round
crown, where the pictures cut one off) and on both sides of its upper part. What is below may be a body, and is not
looked at; nor is what lies outside the photo.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.segment.framings import CELLS, Framing
from bozzetto.segment.segmenter import OBJECT_LEVEL

RING = 0.75  # width of the margin, in sides of the square
GAP = 0.125  # of it that is not looked at on the sides: training pictures cut the object off, by as much as this
UPPER = 0.6  # of the square's height, beside which the object has ended
RING_WEIGHT = 0.5  # of the margin's cells, those of the square weigh 1
OUTSIDE_WEIGHT = 0.3  # on the share of the square that lies outside the photo
LEAST_INSIDE = 0.6  # of the square
HIGHEST = 0.25  # how far below the object's top, and a crown, the square may begin, in its sides: no trunk is a face
# A small square finds something that fits anywhere, as an ear is shaped like a head: of two that fit alike the larger
# is right. On training pictures and their masks pasted into larger ones, 0.02 is too little and 0.04 to 0.06 will do.
SIZE_WEIGHT = 0.05  # a factor e in size
SMALLEST, LARGEST, SIZES = 0.15, 1.15, 40  # side, of the photo's shorter and longer side; steps between
FINE, FINE_SIZES = 1.02, 5  # step of the second search, and steps either way


class Fit(NamedTuple):
    """A square in pixels of the mask."""

    left: float
    top: float
    side: float
    cost: float


def fit_framing(
    mask: Float[Tensor, "h w"], framing: Framing, known: Float[Tensor, "h w"] | None = None, near: float | None = None
) -> Fit | None:
    """The square that frames the object of a mask in [0, 1]; None where the mask is empty.

    known: 1 where the mask is known, 0 where it is not; everywhere if not given.
    near: side of the square to look at, within a third; anything if not given.
    """
    if float(mask.max()) < OBJECT_LEVEL:
        return None
    if not framing.outline:
        return fit_box(mask, framing)
    known = torch.ones_like(mask) if known is None else known
    height, width = mask.shape
    low, high = SMALLEST * min(height, width), LARGEST * max(height, width)
    if near is not None:
        low, high = near / 1.33, near * 1.33
    high = max(low, min(high, 2 * min(height, width)))  # of a panorama, no more than this
    sizes = [low * (high / low) ** (k / (SIZES - 1)) for k in range(SIZES)]
    coarse = _best(mask, known, framing, sizes, CELLS)
    sizes = [coarse.side * FINE**k for k in range(-FINE_SIZES, FINE_SIZES + 1)]
    fine = _best(mask, known, framing, sizes, 2 * CELLS)
    side = fine.side * framing.side
    return Fit(fine.left + (fine.side - side) / 2, fine.top - framing.up * fine.side, side, fine.cost)


def fit_box(mask: Float[Tensor, "h w"], framing: Framing) -> Fit:
    """The square around the object's box and its margin."""
    left, top, right, bottom = box_of(mask)
    side = max(right - left, bottom - top) * (1 + 2 * framing.margin)
    return Fit((left + right - side) / 2, (top + bottom - side) / 2, side, 0.0)


def box_of(mask: Float[Tensor, "h w"]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the object in a mask that has one."""
    on = mask >= OBJECT_LEVEL
    rows, columns = on.any(1).nonzero(), on.any(0).nonzero()
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _kernels(framing: Framing, cells: int) -> tuple[Tensor, Tensor, int]:
    """What is expected of every cell of square and margin, what it weighs, and the margin's width in cells."""
    expected = framing.mean_mask()[None, None]
    if cells != CELLS:
        expected = F.interpolate(expected, size=(cells, cells), mode="bilinear", align_corners=False)
    ring, gap, upper = round(RING * cells), round(GAP * cells), round(UPPER * cells)
    expected = F.pad(expected[0, 0], (ring,) * 4)
    weight = torch.zeros_like(expected)
    if framing.crown == 0:
        weight[: ring - gap, gap:-gap] = RING_WEIGHT
    else:
        weight[:ring, gap:-gap] = RING_WEIGHT
        expected = torch.maximum(expected, _crown(framing, cells, ring, expected))
    weight[: ring + upper, : ring - gap] = RING_WEIGHT
    weight[: ring + upper, ring + cells + gap :] = RING_WEIGHT
    weight[ring : ring + cells, ring : ring + cells] = 1
    return expected, weight, ring


def _crown(framing: Framing, cells: int, ring: int, expected: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """The half ellipse above the square that stands on its first row; as likely object as that row."""
    row = expected[ring]
    half = float((row > 0.5).sum()) / 2
    ticks = torch.arange(len(expected)) + 0.5
    x, y = (ticks - len(expected) / 2) / half, (ring - ticks) / (framing.crown * cells)
    inside = (x[None] ** 2 + y[:, None] ** 2 <= 1) & (y[:, None] > 0)
    return inside * row.max()


def _best(mask: Tensor, known: Tensor, framing: Framing, sizes: list[float], cells: int) -> Fit:
    """The best place of all sizes; every size is one correlation at a resolution of `cells` cells a side."""
    expected, weight, ring = _kernels(framing, cells)
    square = torch.zeros_like(weight)
    square[ring : ring + cells, ring : ring + cells] = 1 / cells**2
    # Of the sum of weight (mask - expected)^2 over what is known, term by term; the known weight and square.
    none = torch.zeros_like(weight)
    misfits = weight, -2 * weight * expected, weight * expected.square()
    kernels = torch.stack([torch.stack(k) for k in (misfits, (none, none, weight), (none, none, square))])
    planes = torch.stack([known, mask * known])[:, None]
    height, width = mask.shape
    pad = ring + cells // 3  # so far may a square lie outside
    found: list[Fit] = []
    for side in sizes:
        rows, columns = max(1, round(height * cells / side)), max(1, round(width * cells / side))
        scaled = F.interpolate(planes, size=(rows, columns), mode="bilinear", align_corners=False, antialias=True)
        seen, inside = F.pad(scaled, (pad,) * 4).split(1)
        if min(seen.shape[2:]) < weight.shape[0]:
            continue
        parts = torch.cat([inside.square() / seen.clamp(min=1e-3), inside, seen], 1)[0]
        misfit, weights, covered = _slide(parts, kernels)
        cost = misfit / weights.clamp(min=1)
        cost = (cost + OUTSIDE_WEIGHT * (1 - covered)).masked_fill(covered < LEAST_INSIDE, math.inf)
        if framing.crown > 0:
            highest = (box_of(mask)[1] / height * rows + HIGHEST * cells) + framing.crown * cells
            lower = torch.arange(cost.shape[0]) + ring - pad > highest
            cost = cost.masked_fill(lower[:, None], math.inf)
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        price = float(cost[row, column]) - SIZE_WEIGHT * math.log(side / max(height, width))
        left, top = (column + ring - pad) * width / columns, (row + ring - pad) * height / rows
        found.append(Fit(left, top, side, price))
    return min(found, key=lambda fit: fit.cost)


def _slide(planes: Float[Tensor, "n h w"], kernels: Float[Tensor, "m n k k"]) -> Float[Tensor, "m i j"]:
    """Sums over the planes of their correlations with m sets of kernels, wherever the kernels lie inside.

    By the convolution theorem: kernels of up to 80 px are too large to be slid.
    """
    (height, width), size = planes.shape[1:], kernels.shape[-1]
    spectra = torch.fft.rfft2(planes) * torch.fft.rfft2(kernels, s=(height, width)).conj()
    return torch.fft.irfft2(spectra.sum(1), s=(height, width))[:, : height - size + 1, : width - size + 1]
