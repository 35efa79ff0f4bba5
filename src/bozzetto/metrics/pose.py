"""How far directions and views are turned away from the true ones.

A photo fixes depth and view together, not each by itself: the canonical object turned by any rotation, and every view
turned back, give the same pictures. A view error therefore says something about where "frontal" is too. Two readings
are defined: as it stands (frontal is what the truth calls so), and after the best rotation that is common to all
photos of a set (`best_common_rotation`), which takes out a convention but no error that varies from photo to photo.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def direction_error_deg(a: Float[Tensor, "b 3"], b: Float[Tensor, "b 3"]) -> Float[Tensor, " b"]:
    """Angle between directions, degrees in [0, 180]: atan2(|a x b|, a . b). Lengths do not matter."""
    sine = torch.linalg.vector_norm(torch.linalg.cross(a, b, dim=-1), dim=-1)
    return torch.rad2deg(torch.atan2(sine, (a * b).sum(-1)))


def rotation_error_deg(a: Float[Tensor, "b 3 3"], b: Float[Tensor, "b 3 3"]) -> Float[Tensor, " b"]:
    """Angle of the rotation that leads from one to the other, degrees in [0, 180].

        |A - B|_F^2 = 4 (1 - cos t) = 8 sin^2(t / 2),   t = 2 arcsin(|A - B|_F / sqrt 8)

    The arc cosine of the trace loses half of the digits near 0; this does not.
    """
    distance = torch.linalg.vector_norm(a - b, dim=(-2, -1))
    return torch.rad2deg(2 * torch.asin((distance / math.sqrt(8)).clamp(max=1)))


def best_common_rotation(predicted: Float[Tensor, "b 3 3"], truth: Float[Tensor, "b 3 3"]) -> Float[Tensor, "3 3"]:
    """The rotation Q that brings the true views nearest to the predicted ones, all with the same Q:

        Q = argmin sum_i |P_i - T_i Q|_F^2 = U diag(1, 1, det U V^T) V^T,   U S V^T = sum_i T_i^T P_i.

    If the predicted canonical frame is the true one turned by Q^T for every photo, then P_i = T_i Q.

    Source: orthogonal Procrustes problem (Schoenemann 1966), kept to rotations (Kabsch 1976).
    """
    u, _, vt = torch.linalg.svd((truth.transpose(-1, -2) @ predicted).sum(0))
    sign = torch.ones(3, dtype=u.dtype, device=u.device)
    sign[2] = torch.sign(torch.linalg.det(u @ vt))
    return (u * sign) @ vt


def aligned_rotation_error_deg(predicted: Float[Tensor, "b 3 3"], truth: Float[Tensor, "b 3 3"]) -> Float[Tensor, " b"]:
    """`rotation_error_deg` after `best_common_rotation`; NaN for a single view, which any rotation could explain."""
    if len(predicted) < 2:
        return torch.full((len(predicted),), math.nan, dtype=predicted.dtype, device=predicted.device)
    return rotation_error_deg(predicted, truth @ best_common_rotation(predicted, truth))
