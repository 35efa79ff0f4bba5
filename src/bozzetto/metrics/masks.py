"""Which pixels count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def erode(mask: Float[Tensor, "b 1 h w"], iterations: int = 1) -> Float[Tensor, "b 1 h w"]:
    """Erode a 0/1 mask by a 3 x 3 square, `iterations` times; what lies outside the image is 0.

    The outermost pixels of the image therefore always go, which is what unsup3d's average pooling with
    zero padding and a threshold of 0.99 does.
    """
    for _ in range(iterations):
        mask = -F.max_pool2d(-F.pad(mask, (1, 1, 1, 1)), kernel_size=3, stride=1)
    return mask


def published_mask(
    truth_mask: Float[Tensor, "b 1 h w"],
    predicted_valid: Float[Tensor, "b 1 h w"],
    iterations: int = 1,
) -> Float[Tensor, "b 1 h w"]:
    """The mask the published tables are computed on: eroded truth x eroded predicted valid region.

    A method that predicts nothing near the silhouette gains on it, so always read it beside `coverage`.

    Source: Wu et al. 2020, public evaluation code (one erosion).
    """
    return erode(truth_mask, iterations) * erode(predicted_valid, iterations)


def coverage(
    mask: Float[Tensor, "b 1 h w"],
    reference: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """Share of the reference mask's pixels that `mask` also holds, [B] in [0, 1]; NaN for an empty reference."""
    inside = ((mask > 0) & (reference > 0)).flatten(1).sum(1)
    return inside / (reference > 0).flatten(1).sum(1).to(torch.float32)
