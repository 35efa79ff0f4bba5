"""How far surface normals are turned away from the true ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.metrics.depth import masked_mean


def mean_angle_deviation_deg(
    prediction: Float[Tensor, "b 3 h w"],
    truth: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """Mean angle deviation (MAD) between two normal maps over a mask, degrees, one number per item.

        MAD = < angle(prediction, truth) >   over the masked pixels

    Identical maps score 0 at every resolution; `published.mean_angle_deviation_deg_unsup3d` is the
    formula of the literature, which does not. Values outside the mask may be anything, NaN included.

    Args:
        prediction, truth: normals in the same frame, any positive length.
        mask: 1 where a pixel counts, 0 elsewhere.

    Returns:
        [B] in [0, 180], NaN for an item whose mask is empty.

    Source: Wu et al. 2020 (unsup3d).
    """
    return masked_mean(angle_between_deg(prediction, truth), mask)


def angle_between_deg(a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Angle between the vectors of two maps, degrees in [0, 180]; their lengths do not matter.

        angle = atan2(|a x b|, a . b)

    The arc cosine of a . b loses half of float32's digits near 0 (1e-7 in the cosine is 0.026 deg);
    the arc tangent keeps them all.
    """
    cross = torch.linalg.cross(a, b, dim=1)
    sine = torch.linalg.vector_norm(cross, dim=1, keepdim=True)
    cosine = (a * b).sum(1, keepdim=True)
    return torch.rad2deg(torch.atan2(sine, cosine))
