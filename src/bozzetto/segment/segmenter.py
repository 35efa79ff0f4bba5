"""What a segmenter is, and how to tell that its mask is of no use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from bozzetto.segment.categories import Category

OBJECT_LEVEL = 0.7  # Pan and Rep: mask values that count as object
LEAST_SHARE = 0.02  # of the image; below, the prior's box would be a few pixels
MOST_SHARE = 0.995  # above, nothing is left that could be background


@dataclass(frozen=True)
class Segmentation:
    """What a segmenter says of each photo."""

    mask: Float[Tensor, "b 1 s s"]  # [0, 1], soft at the edges; the object is where it is at least 0.7
    score: Float[Tensor, "b 1 s s"]  # [0, 1], how sure the segmenter is of the category, everywhere


@runtime_checkable
class Segmenter(Protocol):
    """Finds the object in photos. Works on a batch and treats its items independently."""

    name: str

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """Segment RGB images in [0, 1]; the masks lie on the images' device and carry no gradient."""
        ...


def mask_problem(mask: Float[Tensor, "1 s s"]) -> str | None:
    """A sentence on why one photo's mask is of no use, or None if it is usable.

    Args:
        mask: [1,S,S], or [1,1,S,S]: one photo's mask in [0, 1].
    """
    if not bool(mask.isfinite().all()):
        return "The mask holds values that are not numbers."
    share = _share(mask)
    if share < LEAST_SHARE:
        return f"The mask is all but empty: {100 * share:.1f} % of the photo counts as object."
    if share > MOST_SHARE:
        return f"The mask covers everything: {100 * share:.1f} % of the photo counts as object."
    return None


def covers_everything(mask: Float[Tensor, "1 s s"]) -> bool:
    """Whether one photo's mask leaves nothing that could be background: of no use, but it can be worked with."""
    return bool(mask.isfinite().all()) and _share(mask) > MOST_SHARE


def _share(mask: Float[Tensor, "1 s s"]) -> float:
    """Of the photo that counts as object."""
    return float((mask >= OBJECT_LEVEL).float().mean())
