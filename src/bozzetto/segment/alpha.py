"""The photo's own alpha channel as the mask."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.segment.categories import Category
from bozzetto.segment.segmenter import Segmentation, mask_problem


def meaningful(alpha: Float[Tensor, "1 s s"] | None) -> bool:
    """Whether an alpha channel cuts something out: neither absent, nor all but empty, nor all but full."""
    return alpha is not None and mask_problem(alpha) is None


class AlphaSegmenter:
    """Hands out alpha channels read with the photos, in the photos' order."""

    name = "alpha"

    def __init__(self, alpha: Float[Tensor, "b 1 s s"]) -> None:
        self.alpha = alpha

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. Raises InputError if there is not one alpha channel of the right size for each photo."""
        if self.alpha.shape != images[:, :1].shape:
            raise InputError(
                f"The alpha channels are {tuple(self.alpha.shape)} and the photos {tuple(images.shape)}; "
                "give one alpha channel of the same size for each photo."
            )
        mask = self.alpha.detach().to(images)
        return Segmentation(mask=mask, score=mask.clone())
