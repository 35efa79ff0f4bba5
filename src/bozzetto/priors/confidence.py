"""The confidence prior of the replication (Galatolo & Nilsson, 2022): the parser's score as a relief."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.priors.box import extrude
from bozzetto.types import DepthRange


def stretch(values: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Each item's values min-max normalised to [0, 1]; an item that is constant becomes all ones."""
    low = values.amin(dim=(2, 3), keepdim=True)
    span = values.amax(dim=(2, 3), keepdim=True) - low
    unit = (values - low) / span.clamp(min=torch.finfo(values.dtype).tiny)
    return torch.where(span > 0, unit, torch.ones_like(values))


def confidence(score: Float[Tensor, "b 1 h w"], shape_range: DepthRange) -> Float[Tensor, "b 1 h w"]:
    """The score in [0, 1], min-max normalised per item and extruded: most certain pixel near, least certain far."""
    return extrude(stretch(score), shape_range)
