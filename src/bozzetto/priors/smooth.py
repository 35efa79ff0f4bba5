"""The smoothing of the replication's priors (Galatolo & Nilsson, 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.priors.box import extrude
from bozzetto.priors.confidence import stretch
from bozzetto.types import DepthRange

PASSES = 3
KERNEL_AT_128_PX = 11  # Rep's filter at its image size


def kernel_px(size: int) -> int:
    """Odd filter width that covers the same share of a size x size image as 11 px do at 128, at least 3."""
    return max(3, 2 * round((KERNEL_AT_128_PX * size / 128 - 1) / 2) + 1)


def smooth(
    depth: Float[Tensor, "b 1 h w"], shape_range: DepthRange, kernel: int | None = None, passes: int = PASSES
) -> Float[Tensor, "b 1 h w"]:
    """Box filter, stretch to [near, far] and pad with far; three times over (Rep).

    The filter reads only pixels that exist, so every pass loses a frame of (kernel - 1) / 2 pixels, which is then
    laid at far: the outer frame of the result is background whatever the mask says. Images too small for the
    kernel are filtered with the widest odd kernel that leaves a 3 x 3 middle.

    Args:
        depth: [B,1,H,W], scene units.
        kernel: odd width in pixels; by default 11 at 128 px and in proportion elsewhere.
    """
    smallest = min(depth.shape[-2:])
    kernel = kernel_px(smallest) if kernel is None else kernel
    if kernel % 2 == 0:
        raise ValueError(f"the filter's width must be odd, got {kernel}")
    kernel = min(kernel, smallest - 2 - (smallest - 1) % 2)
    frame = (kernel - 1) // 2
    for _ in range(passes):
        filtered = F.avg_pool2d(depth, kernel, stride=1)
        # Nearness, not depth, is stretched: a constant item then becomes near inside a far frame, not far throughout.
        relief = extrude(stretch(-filtered), shape_range)
        depth = F.pad(relief, (frame, frame, frame, frame), value=shape_range.far)
    return torch.clamp(depth, shape_range.near, shape_range.far)
