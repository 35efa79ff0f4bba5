"""Penalty on how far the offset encoder moves from the photo's latent."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def latent_norm(offset: Float[Tensor, "b d"]) -> Float[Tensor, "b"]:
    """Mean squared offset of each item (Pan, Eq. 3's regulariser)."""
    return offset.square().mean(1)
