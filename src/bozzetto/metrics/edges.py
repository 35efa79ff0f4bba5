"""Whether a depth map is steep where the true one is: the rim of a nose, a chin before a neck."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.types import Camera

EDGE_SLOPE = 4.0  # depth for sideways way, 76 degrees from facing the camera
TOLERANCE_PX = 1


@dataclass(frozen=True)
class EdgeScores:
    """Every field is [B] in [0, 1]."""

    completeness: Float[
        Tensor, " b"
    ]  # share of true edge pixels near a predicted one; NaN where there are no true ones
    correctness: Float[Tensor, " b"]  # share of predicted edge pixels near a true one; NaN where none are predicted


def depth_edges(
    depth: Float[Tensor, "b 1 h w"], mask: Float[Tensor, "b 1 h w"], camera: Camera, slope: float = EDGE_SLOPE
) -> Float[Tensor, "b 1 h w"]:
    """1 at both pixels of every pair of neighbours p, q on the mask with f |log d(p) - log d(q)| >= slope.

    A pixel at depth d is d / f wide, so this is the slope of the surface between the two, whatever the size and the
    overall scale. The mask's own outline is no edge. Depth off the mask may be anything, NaN included.
    """
    known = mask > 0
    log = torch.log(torch.where(known, depth, torch.ones_like(depth)))
    edges = torch.zeros_like(known)
    for dim in (2, 3):
        n = depth.shape[dim] - 1
        step = (log.narrow(dim, 1, n) - log.narrow(dim, 0, n)).abs() * camera.focal_px
        found = (step >= slope) & known.narrow(dim, 1, n) & known.narrow(dim, 0, n)
        edges.narrow(dim, 0, n).logical_or_(found)
        edges.narrow(dim, 1, n).logical_or_(found)
    return edges.to(depth.dtype)


def edge_scores(
    prediction: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    mask: Float[Tensor, "b 1 h w"],
    camera: Camera,
    slope: float = EDGE_SLOPE,
    tolerance_px: int = TOLERANCE_PX,
) -> EdgeScores:
    """Completeness and correctness of the edges of a predicted depth map.

    With E* and E the edge pixels of truth and prediction and |.| the larger of the two pixel distances,

        completeness = share of p in E* with some q in E,  |p - q| <= tolerance,
        correctness  = share of q in E  with some p in E*, |p - q| <= tolerance.

    Read them together: a map full of edges is complete and wrong.

    Source: completeness as the share within a distance, Seitz et al. 2006; for depth edges, Koch et al. 2018.
    """
    true, found = depth_edges(truth, mask, camera, slope), depth_edges(prediction, mask, camera, slope)
    return EdgeScores(_share_near(true, found, tolerance_px), _share_near(found, true, tolerance_px))


def _share_near(
    edges: Float[Tensor, "b 1 h w"], others: Float[Tensor, "b 1 h w"], tolerance_px: int
) -> Float[Tensor, " b"]:
    near = F.max_pool2d(others, 2 * tolerance_px + 1, stride=1, padding=tolerance_px)
    return (edges * near).flatten(1).sum(1) / edges.flatten(1).sum(1)
