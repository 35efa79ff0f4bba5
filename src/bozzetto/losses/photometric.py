"""Masked L1 between pictures."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

# The papers' images live in [-1, 1], ours in [0, 1]: their differences, and with them every published weight, are
# twice ours. The factor stands here once, so that the published weights can be used as they are.
PUBLISHED_IMAGE_RANGE = 2.0


def masked_mean(values: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b"]:
    """Mean over channels and the pixels of a soft mask, for each item; 0 where the mask is empty."""
    weight = mask.sum((1, 2, 3)) * values.shape[1]
    return (values * mask).sum((1, 2, 3)) / weight.clamp(min=1e-6)


def photometric(
    predicted: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b"]:
    """Mean absolute difference over the mask, on the papers' scale (images in [0, 1] give at most 2)."""
    return PUBLISHED_IMAGE_RANGE * masked_mean((predicted - target).abs(), mask)
