"""No segmentation: the whole photo counts as object."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.segment.categories import Category
from bozzetto.segment.segmenter import Segmentation


class ConstantSegmenter:
    """Mask and score are one everywhere."""

    name = "none"

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`."""
        ones = torch.ones_like(images[:, :1])
        return Segmentation(mask=ones, score=ones.clone())
