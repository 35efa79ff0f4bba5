"""Priors by name: (mask or score, depth range, category) -> depth inside the range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.priors.box import box, masked_box
from bozzetto.priors.confidence import confidence
from bozzetto.priors.ellipsoid import ellipsoid
from bozzetto.priors.smooth import smooth
from bozzetto.segment.categories import Category, find_category
from bozzetto.types import DepthRange

Shape = Callable[[Tensor, DepthRange, Category, float], Tensor]  # (mask or score, shape range, category, radius)


@dataclass(frozen=True)
class Prior:
    """One named prior: which output of the segmenter it reads, and its shape (None: step 0 is skipped)."""

    name: str
    reads: Literal["mask", "score", "nothing"]
    shape: Shape | None

    @property
    def has_shape(self) -> bool:
        return self.shape is not None


_ROWS = (
    Prior("ellipsoid", "mask", ellipsoid),
    Prior("box", "mask", lambda mask, span, _category, _radius: box(mask, span)),
    Prior("masked-box", "mask", lambda mask, span, _category, _radius: masked_box(mask, span)),
    Prior("smoothed-box", "mask", lambda mask, span, _category, _radius: smooth(masked_box(mask, span), span)),
    Prior("confidence", "score", lambda score, span, _category, _radius: confidence(score, span)),
    Prior(
        "smoothed-confidence", "score", lambda score, span, _category, _radius: smooth(confidence(score, span), span)
    ),
    Prior("none", "nothing", None),
)

PRIORS: dict[str, Prior] = {row.name: row for row in _ROWS}


def find_prior(name: str) -> Prior:
    """The row of a prior's name. Raises InputError for a name that has none."""
    if name not in PRIORS:
        raise InputError(f"There is no prior {name!r}; choose one of {', '.join(PRIORS)}.")
    return PRIORS[name]


def shape_range(depth_range: DepthRange, category: str | Category) -> DepthRange:
    """The part of the depth range that a category's prior fills ([0.91, 1.02] of [0.9, 1.1]; Pan)."""
    row = find_category(category)
    width = depth_range.far - depth_range.near
    return DepthRange(near=depth_range.near + row.near * width, far=depth_range.near + row.far * width)


def prior_depth(
    name: str,
    mask_or_score: Float[Tensor, "b 1 h w"],
    depth_range: DepthRange,
    category: str | Category,
) -> Float[Tensor, "b 1 h w"]:
    """Depth, in scene units, of the shape that step 0 fits the depth network to.

    Always inside [near, far] of the depth range, so that the depth network can express it. Every item depends on
    its own mask alone. A mask without a pixel above 0.7 stands for the whole image.

    Args:
        name: one of `PRIORS` whose `has_shape` is true.
        mask_or_score: [B,1,H,W] in [0, 1]; `PRIORS[name].reads` says which of the segmenter's outputs is meant.
    Raises:
        InputError: unknown prior or category, or a prior that has no shape.
    """
    prior = find_prior(name)
    if prior.shape is None:
        raise InputError(f"The prior {name!r} has no shape to fit; skip step 0 instead.")
    row = find_category(category)
    radius = row.radius * (depth_range.far - depth_range.near)
    return prior.shape(mask_or_score.detach(), shape_range(depth_range, row), row, radius)
