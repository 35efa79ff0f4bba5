"""Turning a predicted object exactly as the true one was turned, whatever frame and scale the prediction has.

A photo leaves two things open: which rotation counts as frontal, and the overall scale. So the turn is taken relative
to the photo. Truth: photo R*, t*, new picture R°, t°. Prediction: photo R, t, and depths s times too large. With the
pivot c = (0, 0, 1) and Q = R° R*^T a true point that the photo shows at p appears in the new picture at

    p° = Q (p - c - t*) + c + t°,

and a predicted one, which the photo shows at s p = R (q - c) + c + t for its canonical point q, at s p°. That is the
view of q with

    rotation Q R,   translation Q ((1 - s) c + t - s t*) + s (c + t°) - c.

For a prediction in the truth's own frame (R = R*, t = t*, s = 1) it is R°, t°.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.pose import PIVOT_DEPTH, rotation_matrix
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.metrics.depth import masked_mean
from bozzetto.types import Camera, DepthRange

WHOLE = 0.999  # share of object that a bilinear reading must have: the walls between object and background have less


def view_like(
    new: Float[Tensor, "k 6"], true: Float[Tensor, "1 6"], predicted: Float[Tensor, "1 6"], scale: Float[Tensor, " 1"]
) -> Float[Tensor, "k 6"]:
    """The views of a predicted object that show what the `new` views show of the true one (top of this file)."""
    pivot = torch.tensor((0.0, 0.0, PIVOT_DEPTH), dtype=new.dtype, device=new.device)
    turn = rotation_matrix(new[:, :3]) @ rotation_matrix(true[:, :3]).transpose(-1, -2)
    rotation = turn @ rotation_matrix(predicted[:, :3])
    before = (1 - scale) * pivot + predicted[0, 3:] - scale * true[0, 3:]
    translation = turn @ before + scale * (pivot + new[:, 3:]) - pivot
    return torch.cat((angles_of(rotation), translation), dim=1)


def angles_of(rotation: Float[Tensor, "k 3 3"]) -> Float[Tensor, "k 3"]:
    """rx, ry, rz of Rz Ry Rx, radians; ry in [-pi/2, pi/2]. The inverse of `geometry.pose.rotation_matrix`."""
    rx = torch.atan2(rotation[:, 2, 1], rotation[:, 2, 2])
    ry = -torch.asin(rotation[:, 2, 0].clamp(-1, 1))
    rz = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return torch.stack((rx, ry, rz), dim=-1)


def scale_between(
    prediction: Float[Tensor, "1 1 s s"], truth: Float[Tensor, "1 1 s s"], mask: Float[Tensor, "1 1 s s"]
) -> Float[Tensor, " 1"]:
    """The factor s by which depths are too large, as SIDE takes it out: exp < log d - log d* >."""
    known = mask > 0
    one = torch.ones_like(truth)
    return masked_mean(torch.log(torch.where(known, prediction, one) / torch.where(known, truth, one)), mask).exp()


def seen_truth(
    canonical_depth: Float[Tensor, "1 1 s s"], views: Float[Tensor, "k 6"], camera: Camera
) -> Float[Tensor, "k 1 s s"]:
    """1 where a view shows a part of the object that the true frontal depth map holds; NaN there is no surface.

    Where a new picture shows what is hidden from the front, no height field could be right.
    """
    known = ~canonical_depth.isnan()
    limits = DepthRange()
    filled = torch.where(known, canonical_depth, torch.full_like(canonical_depth, limits.far))
    sight = look(filled, views, camera, limits)
    return sight.mask * (sample(known.to(filled.dtype), sight.grid) > WHOLE)


def draw(
    depth: Float[Tensor, "1 1 s s"], texture: Float[Tensor, "1 3 s s"], views: Float[Tensor, "k 6"], camera: Camera
) -> tuple[Float[Tensor, "k 3 s s"], Float[Tensor, "k 1 s s"]]:
    """A height field with a picture on it from other sides: pictures [0, 1], and 1 where it covers them."""
    sight = look(depth, views, camera, DepthRange())
    return sample(texture, sight.grid).clamp(0, 1), sight.mask
