"""Box-shaped priors: the bounding box of a mask, and shapes extruded from a bounding box or from a mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.segment.categories import BoxMargins
from bozzetto.types import DepthRange

MASK_THRESHOLD = 0.7  # Pan and Rep: what counts as object


@dataclass(frozen=True)
class Boxes:
    """One box an item, in pixels: centre and half size. Edges lie on pixel borders, so one pixel has half size 0.5."""

    centre_x: Float[Tensor, "b"]
    centre_y: Float[Tensor, "b"]
    half_x: Float[Tensor, "b"]
    half_y: Float[Tensor, "b"]


def object_pixels(mask: Float[Tensor, "b 1 h w"]) -> Tensor:
    """Boolean [B,1,H,W], true where mask >= 0.7; all true for an item whose mask has no such pixel."""
    inside = mask >= MASK_THRESHOLD
    empty = ~inside.flatten(1).any(dim=1)
    return inside | empty[:, None, None, None]


def bounding_boxes(mask: Float[Tensor, "b 1 h w"], margins: BoxMargins | None = None) -> Boxes:
    """Boxes around mask >= 0.7 (the whole image where that is empty), moved by a category's margins.

    Margins are shares of the box after `bottom_to_edge`; a moved box may reach past the image.
    """
    margins = margins or BoxMargins()
    height = mask.shape[-2]
    inside = object_pixels(mask)
    left, right = _extent(inside.any(dim=2)[:, 0], mask.dtype)
    top, bottom = _extent(inside.any(dim=3)[:, 0], mask.dtype)
    if margins.bottom_to_edge:
        bottom = torch.full_like(bottom, height - 0.5)
    box_width, box_height = right - left, bottom - top
    top = top - margins.top * box_height
    bottom = bottom + margins.bottom * box_height
    return Boxes(
        centre_x=(left + right) / 2,
        centre_y=(top + bottom) / 2,
        half_x=box_width * (0.5 + margins.side),
        half_y=(bottom - top) / 2,
    )


def _extent(occupied: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Outer edges [B] of the first and last true entry of [B,N], on pixel borders."""
    first = occupied.to(torch.uint8).argmax(dim=1)
    last = occupied.shape[1] - 1 - occupied.flip(1).to(torch.uint8).argmax(dim=1)
    return first.to(dtype) - 0.5, last.to(dtype) + 0.5


def squared_box_coordinates(
    boxes: Boxes, height: int, width: int
) -> tuple[Float[Tensor, "b 1 1 w"], Float[Tensor, "b 1 h 1"]]:
    """Squared x and y of every pixel centre measured in half sizes from the box's centre: 1 on the box's edge."""
    dtype, device = boxes.centre_x.dtype, boxes.centre_x.device
    x = torch.arange(width, dtype=dtype, device=device)
    y = torch.arange(height, dtype=dtype, device=device)
    u = (x - boxes.centre_x[:, None]) / boxes.half_x[:, None]
    v = (y - boxes.centre_y[:, None]) / boxes.half_y[:, None]
    return u.square()[:, None, None, :], v.square()[:, None, :, None]


def extrude(height_map: Float[Tensor, "b 1 h w"], shape_range: DepthRange) -> Float[Tensor, "b 1 h w"]:
    """Depth of a relief: far where the map is 0, near where it is 1, linear between."""
    depth = shape_range.far + height_map * (shape_range.near - shape_range.far)
    return depth.clamp(shape_range.near, shape_range.far)  # the sum may round past an end


def box(mask: Float[Tensor, "b 1 h w"], shape_range: DepthRange) -> Float[Tensor, "b 1 h w"]:
    """Plain box: the bounding box of mask >= 0.7 at near, the rest at far."""
    u2, v2 = squared_box_coordinates(bounding_boxes(mask), *mask.shape[-2:])
    return extrude((torch.maximum(u2, v2) <= 1).to(mask.dtype), shape_range)


def masked_box(mask: Float[Tensor, "b 1 h w"], shape_range: DepthRange) -> Float[Tensor, "b 1 h w"]:
    """The part of the mask above 0.7, stretched to [0, 1] per item and extruded (Rep, "masked box").

    An item with no pixel above 0.7 is extruded as a whole.
    """
    excess = (mask - MASK_THRESHOLD).clamp(min=0)
    peak = excess.amax(dim=(2, 3), keepdim=True)
    stretched = torch.where(peak > 0, excess / peak.clamp(min=torch.finfo(mask.dtype).tiny), torch.ones_like(mask))
    return extrude(stretched, shape_range)
