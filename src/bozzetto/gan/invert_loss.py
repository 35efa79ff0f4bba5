"""What an inversion minimises, photo by photo: image, discriminator features and, if asked, a perceptual distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan.generator import Gan

if TYPE_CHECKING:
    from bozzetto.gan.invert import InvertConfig

# (predicted, target, mask), all in [0, 1] -> distance of every item [b]
Perceptual = Callable[[Tensor, Tensor, Tensor], Tensor]


class InvertLoss:
    """Distance of the images of latents to fixed targets; pixels weigh 1 in the mask and `outside_weight` elsewhere."""

    def __init__(
        self,
        gan: Gan,
        target: Float[Tensor, "b 3 s s"],
        mask: Float[Tensor, "b 1 s s"],
        config: InvertConfig,
        perceptual: Perceptual | None,
    ) -> None:
        self.gan, self.target, self.mask, self.config, self.perceptual = gan, target, mask, config, perceptual
        self.weight = mask + config.outside_weight * (1 - mask)
        self.wanted: list[Tensor] = []
        if config.feature_weight > 0 and gan.discriminator is not None:
            with torch.no_grad():
                self.wanted = gan.features(target, config.feature_blocks)
        self.shown = target / 2 + 0.5
        # A learned distance may know the target's features once and for all.
        self.compare = getattr(perceptual, "compare", None)
        if self.compare is not None and config.perceptual_weight > 0:
            with torch.no_grad():
                self.known = perceptual.features(self.shown)  # type: ignore[union-attr]
        self.areas = [F.adaptive_avg_pool2d(self.weight, (f.shape[2], f.shape[3])) for f in self.wanted]

    def __call__(
        self, w: Float[Tensor, "b *l d"], noises: Sequence[Float[Tensor, "b 1 _ _"]] | None
    ) -> Float[Tensor, " b"]:
        """One number a photo, for latents of [-1, 1] images with given noise maps (None: the stored ones)."""
        image = self.gan.image_from_w(w, "const" if noises is None else noises)
        if self.config.outside_weight == 0:  # features look around them: show them nothing there to look at
            image = self.mask * image + (1 - self.mask) * self.target
        loss = self.config.image_weight * masked_mean((image - self.target).abs(), self.weight)
        if self.wanted:
            found = self.gan.features(image, len(self.wanted))
            for a, b, area in zip(found, self.wanted, self.areas, strict=True):
                relative = masked_mean((a - b).abs(), area) / masked_mean(b.abs(), area).clamp(min=1e-6)
                loss = loss + self.config.feature_weight / len(self.wanted) * relative
        if self.perceptual is not None and self.config.perceptual_weight > 0:
            pair = image / 2 + 0.5, self.shown, self.mask
            distance = self.perceptual(*pair) if self.compare is None else self.compare(*pair, self.known)
            loss = loss + self.config.perceptual_weight * distance
        return loss


def masked_mean(x: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """Mean over channels and the mask's area, item by item; 0 where the mask is empty."""
    total = (x * mask).sum(dim=(1, 2, 3)) / x.shape[1]
    return total / mask.sum(dim=(1, 2, 3)).clamp(min=1e-6)
