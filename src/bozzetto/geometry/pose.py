"""Rigid motion of the object: rotation about the pivot (0, 0, 1), then translation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

PIVOT_DEPTH = 1.0  # scene units; the object turns about (0, 0, 1)


def rotation_matrix(angles_rad: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rz Ry Rx for angles (rx, ry, rz): x turns first. Orthogonal with determinant 1.

    In axes x right, y down, z forward: rx > 0 nods the top toward the camera, ry > 0 moves the near side
    to the left, rz > 0 turns clockwise as seen in the picture.
    """
    cos, sin = angles_rad.cos().unbind(-1), angles_rad.sin().unbind(-1)
    (cx, cy, cz), (sx, sy, sz) = cos, sin
    rows = (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _pivot(like: Tensor) -> Tensor:
    return torch.tensor((0.0, 0.0, PIVOT_DEPTH), dtype=like.dtype, device=like.device)


def move(points: Float[Tensor, "n p 3"], view: Float[Tensor, "b 6"]) -> Float[Tensor, "b p 3"]:
    """Carry points from the canonical frame into the view's: R (p - pivot) + pivot + t. n is b or 1."""
    pivot = _pivot(points)
    rotation = rotation_matrix(view[:, :3])
    return (points - pivot) @ rotation.transpose(-1, -2) + pivot + view[:, None, 3:]


def move_back(points: Float[Tensor, "b p 3"], view: Float[Tensor, "b 6"]) -> Float[Tensor, "b p 3"]:
    """Inverse of `move`: from the view's frame to the canonical one."""
    pivot = _pivot(points)
    rotation = rotation_matrix(view[:, :3])
    return (points - view[:, None, 3:] - pivot) @ rotation + pivot


def mirror_view(view: Float[Tensor, "b 6"]) -> Float[Tensor, "b 6"]:
    """The view under which the mirrored object gives the mirrored picture: ry, rz and tx change sign."""
    return view * torch.tensor((1.0, -1.0, -1.0, -1.0, 1.0, 1.0), dtype=view.dtype, device=view.device)
