"""Distance in the features of the generator's own discriminator (Pan, Eq. 3): always at hand, knows the category."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan.generator import Gan
from bozzetto.losses.perceptual import composite
from bozzetto.losses.photometric import masked_mean

BLOCKS = 4  # Pan: the first four blocks


class DiscriminatorFeatures:
    """Sum over the first blocks of the L1 between features, over the mask average-pooled to each block's size."""

    name = "discriminator"

    def __init__(self, gan: Gan, blocks: int = BLOCKS) -> None:
        self.gan = gan
        self.blocks = blocks

    def features(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Features of images in [0, 1]."""
        return self.gan.features(images * 2 - 1, self.blocks)

    def __call__(
        self,
        predicted: Float[Tensor, "b 3 h w"],
        target: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b"]:
        with torch.no_grad():
            wanted = self.features(target)
        return self.compare(predicted, target, mask, wanted)

    def compare(
        self,
        predicted: Float[Tensor, "b 3 h w"],
        target: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        wanted: list[Tensor],
    ) -> Float[Tensor, "b"]:
        """As the call, with the target's features known already."""
        return self.between(self.features(composite(predicted, target, mask)), wanted, mask)

    def between(self, found: list[Tensor], wanted: list[Tensor], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b"]:
        """The distance of two sets of features."""
        total = torch.zeros(len(mask), dtype=mask.dtype, device=mask.device)
        for a, b in zip(found, wanted, strict=True):
            pooled = F.adaptive_avg_pool2d(mask, (a.shape[2], a.shape[3]))
            total = total + masked_mean((a - b).abs().to(mask.dtype), pooled)
        return total
