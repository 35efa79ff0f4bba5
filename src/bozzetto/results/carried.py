"""What a photo shows, carried to the canonical frame: where each canonical point is seen, and its colour there."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from bozzetto.geometry.camera import project, to_normalised, unproject
from bozzetto.geometry.pose import move
from bozzetto.geometry.render import render
from bozzetto.geometry.warp import sample, turned_with
from bozzetto.types import BORDER_COLUMNS, Camera, DepthRange, Factors

# A point this many pixels' worth of depth behind what the photo shows counts as hidden by it.
_HIDDEN_PX = 3.0
# Of the cosine between a surface and the camera's ray: seen at less it is not believed, at more it is.
_GRAZING, _FACING = 0.1, 0.5
BELIEVED = 0.3  # trust of both sides together, above which a colour is not filled in
DARKEST = 0.05  # shading below which a colour says nothing of the albedo


class Carried(NamedTuple):
    """Where the photo shows each canonical point."""

    grid: Float[Tensor, "b s s 2"]  # in the photo, [-1, 1], x first; outside of that where the picture ends
    unsure: Bool[Tensor, "b 1 s s"]  # hidden, outside, or beside such a point


class Lifted(NamedTuple):
    """What the photo itself says of each canonical point."""

    colour: Float[Tensor, "b 3 s s"]  # [0, 1], its shading taken out; whatever is there where the trust is 0
    trust: Float[Tensor, "b 1 s s"]  # 0..1


def carry(
    depth: Float[Tensor, "b 1 s s"],
    depth_posed: Float[Tensor, "b 1 s s"],
    view: Float[Tensor, "b 6"],
    camera: Camera,
) -> Carried:
    """Follow each canonical point into the photo, and ask whether something stands before it there."""
    b, s = depth.shape[0], camera.size
    moved = move(unproject(depth, camera).reshape(b, s * s, 3), view)
    grid = to_normalised(project(moved, camera), camera).reshape(b, s, s, 2)
    inside_picture = (grid.abs() <= 1 + 1e-4).all(-1)[:, None]
    slack = _HIDDEN_PX / camera.focal_px  # scene units at depth 1
    hidden = ~inside_picture | (moved[..., 2].reshape(b, 1, s, s) > sample(depth_posed, grid.clamp(-1, 1)) + slack)
    # Beside what is hidden the photo mixes front and back; that is no better known.
    return Carried(grid, F.max_pool2d(hidden.to(depth.dtype), 3, stride=1, padding=1) > 0)


def fill_alike(
    values: Float[Tensor, "b c s s"], known: Bool[Tensor, "b 1 s s"], depth_px: Float[Tensor, "b 1 s s"]
) -> Float[Tensor, "b c s s"]:
    """Fill what is not known by diffusion: each such pixel becomes the weighted mean of its 3 x 3 neighbours.

    The weight is 1 / (1 + depth difference^4) with depth in pixels' worth, so that next to nothing crosses a jump.
    Without the first pass, ring by ring, the diffusion would take long to reach far.
    """

    def around(picture: Tensor) -> list[Tensor]:
        """The nine shifted pictures, zero beyond the edge."""
        wide = F.pad(picture, (1, 1, 1, 1))
        h, w = picture.shape[-2:]
        return [wide[..., y : y + h, x : x + w] for y in range(3) for x in range(3)]

    def mean(weights: list[Tensor]) -> Tensor:
        """Of the neighbours; where all weights are 0 it is 0."""
        total = torch.stack(weights).sum(0).clamp(min=1e-30)
        return torch.stack([near * weight for near, weight in zip(around(values), weights, strict=True)]).sum(0) / total

    alike = [1 / (1 + (near - depth_px) ** 4) for near in around(depth_px)]
    filled = known
    while bool(known.any()) and not bool(filled.all()):
        weights = [near * weight for near, weight in zip(around(filled.to(values.dtype)), alike, strict=True)]
        fresh = ~filled & (torch.stack(weights).sum(0) > 0)
        if not bool(fresh.any()):
            break
        values, filled = torch.where(fresh, mean(weights), values), filled | fresh
    inside = around(torch.ones_like(depth_px))  # the picture ends at its edge
    alike = [weight * here for weight, here in zip(alike, inside, strict=True)]
    total = torch.stack(alike).sum(0)
    shares = [weight / total for weight in alike]
    for _ in range(2 * values.shape[-1]):
        smooth = torch.zeros_like(values)
        for near, share in zip(around(values), shares, strict=True):
            smooth = torch.addcmul(smooth, near, share)
        values = torch.where(known, values, smooth)
    return values


@torch.no_grad()
def photo_albedo(
    photo: Float[Tensor, "b 3 s s"],
    mask: Float[Tensor, "b 1 s s"],
    factors: Factors,
    camera: Camera,
    depth_range: DepthRange = DepthRange(),  # noqa: B008  frozen
) -> Float[Tensor, "b 3 s s"]:
    """The photo itself as the albedo: each canonical point takes its colour in the photo, divided by its shading.

    What the photo hides, sees at a grazing angle or does not show as part of the object takes the colour of its mirror
    point (the canonical frame is the object's frontal one), and where that is no better known, of the nearest points
    of like depth. Rendered under the same view and light, the object is the photo's again, but for what reading twice
    between pixels blurs and where shading leaves a colour no albedo in [0, 1].

    Args:
        photo: [0, 1].
        mask: the object in the photo, soft, 0..1; colours beyond it are the backdrop's and are not taken.
        factors: their albedo is not looked at.
    """
    own = lift(photo, mask, factors, camera, depth_range)
    other = (1 - own.trust) * own.trust.flip(3)
    total = own.trust + other
    both = (own.trust * own.colour + other * own.colour.flip(3)) / total.clamp(min=1e-6)
    return fill_alike(both, total > BELIEVED, factors.depth * camera.focal_px)


def lift(
    photo: Float[Tensor, "b 3 s s"],
    mask: Float[Tensor, "b 1 s s"],
    factors: Factors,
    camera: Camera,
    depth_range: DepthRange,
) -> Lifted:
    """Each canonical point's own colour in the photo, unshaded, and how far it is believed; see `photo_albedo`."""
    seen = render(replace(factors, albedo=torch.ones_like(photo)), camera, depth_range)
    grid, unsure = carry(factors.depth, seen.depth, factors.view, camera)
    colour = (sample(photo, grid.clamp(-1, 1)) / seen.shading.clamp(min=DARKEST)).clamp(0, 1)

    trust = shown_well(factors.depth, seen.normal, factors.view, unsure, camera)
    trust[..., :BORDER_COLUMNS] = trust[..., -BORDER_COLUMNS:] = 0  # the depth there is no shape
    return Lifted(colour, _within(mask, trust, grid.clamp(-1, 1)))


def shown_well(
    depth: Float[Tensor, "b 1 s s"],
    normal: Float[Tensor, "b 3 s s"],
    view: Float[Tensor, "b 6"],
    unsure: Bool[Tensor, "b 1 s s"],
    camera: Camera,
) -> Float[Tensor, "b 1 s s"]:
    """How well the photo shows each canonical point: 0 where it is unsure or seen at a grazing angle, up to 1."""
    moved = move(unproject(depth, camera).flatten(1, 2), view).unflatten(1, (camera.size, camera.size))
    ray = F.normalize(moved, dim=-1).permute(0, 3, 1, 2)
    cosine = -(turned_with(view, normal) * ray).sum(1, keepdim=True)
    return ((cosine - _GRAZING) / (_FACING - _GRAZING)).clamp(0, 1) * ~unsure


def _within(
    mask: Float[Tensor, "b 1 s s"], trust: Float[Tensor, "b 1 s s"], grid: Float[Tensor, "b s s 2"]
) -> Float[Tensor, "b 1 s s"]:
    """Trust in what lies inside the object; of an object too thin for that in all of it, or, at last, in everything."""
    inner = -F.max_pool2d(-mask, 5, stride=1, padding=2)  # at its rim the object's colour is mixed with the backdrop's
    narrow, whole = (trust * sample(part, grid) for part in (inner, mask))

    def enough(part: Tensor) -> Tensor:
        return part.amax((1, 2, 3), keepdim=True) > BELIEVED

    return torch.where(enough(narrow), narrow, torch.where(enough(whole), whole, torch.ones_like(trust)))
