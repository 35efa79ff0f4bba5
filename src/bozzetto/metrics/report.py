"""Every score of a depth prediction at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.metrics.depth import scale_invariant_depth_error
from bozzetto.metrics.masks import coverage, erode, published_mask
from bozzetto.metrics.normals import mean_angle_deviation_deg
from bozzetto.metrics.published import (
    mean_angle_deviation_deg_unsup3d,
    normals_from_depth_unsup3d,
    scale_invariant_depth_error_unsup3d,
)
from bozzetto.types import Camera

TINY = 1e-30  # below the square of any pixel's normal, above float32's smallest


@dataclass(frozen=True)
class DepthScores:
    """Scores of a batch of depth predictions; every field is [B]. SIDE is not yet x 100. NaN marks an empty mask.

    Two formulae (right, published) on two masks (the truth's, the published one).
    """

    side: Float[Tensor, " b"]  # SIDE on the truth mask
    mad_deg: Float[Tensor, " b"]  # MAD on the truth mask, against `truth_normal`
    side_published_mask: Float[Tensor, " b"]  # SIDE on eroded truth x eroded valid prediction
    mad_published_mask_deg: Float[Tensor, " b"]  # right MAD on that mask
    side_published_formula: Float[Tensor, " b"]  # published formula on the truth mask
    mad_published_formula_deg: Float[Tensor, " b"]  # published formula on the truth mask eroded once: never 0
    side_published: Float[Tensor, " b"]  # published formula on the published mask: what the literature prints
    mad_published_deg: Float[Tensor, " b"]  # the same: never 0
    coverage: Float[Tensor, " b"]  # share of the eroded truth mask that the published mask holds


def score_depth(
    prediction: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    truth_mask: Float[Tensor, "b 1 h w"],
    camera: Camera,
    *,
    truth_normal: Float[Tensor, "b 3 h w"] | None = None,
    prediction_normal: Float[Tensor, "b 3 h w"] | None = None,
    predicted_valid: Float[Tensor, "b 1 h w"] | None = None,
    erosions: int = 1,
) -> DepthScores:
    """Score predicted depth maps against true ones, item by item.

    Args:
        prediction, truth: depths in the same view, scene units; the truth may be NaN off its mask.
        truth_mask: 1 on the object, else 0.
        truth_normal: unit normals toward the camera. Without them they come from the true depth, and because the
            differences at the silhouette reach into the background, MAD is then taken on the eroded truth mask.
        prediction_normal: unit normals toward the camera; without them, from the predicted depth.
        predicted_valid: 1 where the method claims a depth; everywhere if not given.
        erosions: of the published mask, 3 x 3 each.
    """
    valid = torch.ones_like(truth_mask) if predicted_valid is None else predicted_valid
    filled = torch.where(truth_mask > 0, truth, prediction)  # no NaN may meet a difference
    normal = unit_normals_from_depth(prediction, camera) if prediction_normal is None else prediction_normal
    inner = erode(truth_mask)
    if truth_normal is None:
        true_normal, normal_mask = unit_normals_from_depth(filled, camera), inner
    else:
        true_normal, normal_mask = truth_normal, truth_mask
    narrow = published_mask(truth_mask, valid, erosions)
    short = normals_from_depth_unsup3d(prediction, camera), normals_from_depth_unsup3d(filled, camera)
    return DepthScores(
        side=scale_invariant_depth_error(prediction, truth, truth_mask),
        mad_deg=mean_angle_deviation_deg(normal, true_normal, normal_mask),
        side_published_mask=scale_invariant_depth_error(prediction, truth, narrow),
        mad_published_mask_deg=mean_angle_deviation_deg(normal, true_normal, narrow),
        side_published_formula=scale_invariant_depth_error_unsup3d(prediction, truth, truth_mask),
        mad_published_formula_deg=mean_angle_deviation_deg_unsup3d(*short, inner),
        side_published=scale_invariant_depth_error_unsup3d(prediction, truth, narrow),
        mad_published_deg=mean_angle_deviation_deg_unsup3d(*short, narrow),
        coverage=coverage(narrow, erode(truth_mask, erosions)),
    )


def unit_normals_from_depth(depth: Float[Tensor, "b 1 h w"], camera: Camera) -> Float[Tensor, "b 3 h w"]:
    """Unit normals toward the camera by central differences; the image's outermost pixels repeat their neighbours."""
    away = normals_from_depth_unsup3d(depth, camera)[:, :, 1:-1, 1:-1]
    unit = -away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp_min(TINY)
    return torch.nn.functional.pad(unit, (1, 1, 1, 1), mode="replicate")


# Shown beside ours: BFM "synface", 64 px, published formulae and mask (Wu et al. 2020).
# SIDE x 100 and MAD deg. Another head model than ours, so the order matters, not the digits.
PUBLISHED_SYNFACE: Mapping[str, tuple[float, float]] = {
    "supervised": (0.410, 10.78),
    "constant depth": (2.723, 43.34),
    "average depth": (1.990, 23.26),
    "Unsup3D": (0.793, 16.51),
}
