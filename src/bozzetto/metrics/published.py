"""The formulae behind the published tables, kept exactly so that numbers can be compared. Do not use them to judge.

`normals_from_depth_unsup3d` divides by |n| + 1e-7. At 64 px |n| is about 3e-5, at 256 px 2e-6: the "unit" normals are
short by 0.3 % to 5 %, the arc cosine of their product is not 0, and a perfect prediction scores 6 degrees at 64 px
and 24 at 256. `normals.mean_angle_deviation_deg` is the right measure.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.metrics.depth import masked_mean
from bozzetto.types import Camera

NORM_EPSILON = 1e-7  # unsup3d's EPS


def normals_from_depth_unsup3d(depth: Float[Tensor, "b 1 h w"], camera: Camera) -> Float[Tensor, "b 3 h w"]:
    """Normals from a depth map, the unsup3d way: pointing AWAY from the camera and a little too short.

    Pixels (u, v) go back to points p = depth * ((u - c) / f, (v - c) / f, 1); with central differences
    t_u = p(u+1, v) - p(u-1, v) and t_v likewise,

        n = t_u x t_v,   returned n / (|n| + 1e-7),

    and the outermost row and column of the image get (0, 0, 1) before the division.

    Source: Wu et al. 2020, public code (renderer).
    """
    b, _, h, w = depth.shape
    v_px, u_px = torch.meshgrid(
        torch.arange(h, dtype=depth.dtype, device=depth.device),
        torch.arange(w, dtype=depth.dtype, device=depth.device),
        indexing="ij",
    )
    centre_x, centre_y = (w - 1) / 2, (h - 1) / 2
    rays = torch.stack(
        [(u_px - centre_x) / camera.focal_px, (v_px - centre_y) / camera.focal_px, torch.ones_like(u_px)]
    )
    points = rays[None] * depth  # [B, 3, H, W]
    along_u = points[:, :, 1:-1, 2:] - points[:, :, 1:-1, :-2]
    along_v = points[:, :, 2:, 1:-1] - points[:, :, :-2, 1:-1]
    normal = depth.new_zeros(b, 3, h, w)
    normal[:, 2] = 1
    normal[:, :, 1:-1, 1:-1] = torch.linalg.cross(along_u, along_v, dim=1)
    return normal / (torch.linalg.vector_norm(normal, dim=1, keepdim=True) + NORM_EPSILON)


def mean_angle_deviation_deg_unsup3d(
    prediction: Float[Tensor, "b 3 h w"],
    truth: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """MAD as published: mean over the mask of arccos(clamp(prediction . truth, -1, 1)), degrees, [B].

    Takes the vectors as they come, so those of `normals_from_depth_unsup3d` bring their missing length in.
    """
    cosine = (prediction * truth).sum(1, keepdim=True).clamp(-1, 1)
    return masked_mean(torch.acos(cosine) * (180 / math.pi), mask)


def scale_invariant_depth_error_unsup3d(
    prediction: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """SIDE as published, in the public code's order of operations (float32 sums); ours but for rounding."""
    pixels = mask.flatten(1).sum(1)
    one = torch.ones((), dtype=prediction.dtype, device=prediction.device)
    counted = mask > 0
    difference = torch.log(torch.where(counted, prediction, one)) - torch.log(torch.where(counted, truth, one))
    mean = (difference * mask).flatten(1).sum(1) / pixels
    squares = (difference - mean[:, None, None, None]) ** 2 * mask
    return (squares.flatten(1).sum(1) / pixels).sqrt()
