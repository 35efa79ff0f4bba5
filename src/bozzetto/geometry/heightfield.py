"""A depth map as a surface: its triangle mesh on the pixel grid, and its unit normals."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bozzetto.geometry.camera import unproject
from bozzetto.types import Camera


@lru_cache(maxsize=32)
def _faces_cpu(size: int) -> Tensor:
    index = torch.arange(size * size).reshape(size, size)
    top_left, top_right = index[:-1, :-1], index[:-1, 1:]
    low_left, low_right = index[1:, :-1], index[1:, 1:]
    upper = torch.stack((top_left, low_left, top_right), dim=-1)
    lower = torch.stack((top_right, low_left, low_right), dim=-1)
    return torch.stack((upper, lower), dim=2).reshape(-1, 3).contiguous()


def grid_faces(size: int, device: torch.device | str = "cpu") -> Int64[Tensor, "f 3"]:
    """The 2 (S - 1)^2 triangles over an S x S grid of vertices in row-major order (vertex = v S + u)."""
    return _faces_cpu(size).to(device)


def _difference(points: Tensor, dim: int) -> Tensor:
    """Central difference inside, one-sided at the two ends: exact for planes everywhere."""
    n = points.shape[dim]
    centre = (points.narrow(dim, 2, n - 2) - points.narrow(dim, 0, n - 2)) / 2
    first = points.narrow(dim, 1, 1) - points.narrow(dim, 0, 1)
    last = points.narrow(dim, n - 1, 1) - points.narrow(dim, n - 2, 1)
    return torch.cat((first, centre, last), dim=dim)


def normals(depth: Float[Tensor, "b 1 s s"], camera: Camera) -> Float[Tensor, "b 3 s s"]:
    """Unit normals of the surface, pointing toward the camera.

    The tangents are scaled by the focal length, so that they are of order one at any size and the norm needs no
    epsilon: the published code divides by |n| + 1e-7 while |n| is about 1e-5 and loses unit length.
    """
    points = unproject(depth, camera) * camera.focal_px
    along_u, along_v = _difference(points, 2), _difference(points, 1)
    normal = torch.linalg.cross(along_v, along_u, dim=-1)  # v x u: toward the camera, -z
    normal = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    return normal.permute(0, 3, 1, 2)
