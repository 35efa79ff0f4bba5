"""From the camera's pixels back to the canonical frame, and reading pictures there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.camera import project, to_normalised, unproject
from bozzetto.geometry.pose import move_back, rotation_matrix
from bozzetto.types import Camera


def canonical_grid(
    posed_depth: Float[Tensor, "b 1 s s"], view: Float[Tensor, "b 6"], camera: Camera
) -> Float[Tensor, "b s s 2"]:
    """Where in the canonical frame each pixel of the posed depth map lies, [-1, 1], x first.

    With the identity view this is the identity warp, whatever the depth.
    """
    seen = unproject(posed_depth, camera)
    b, h, w, _ = seen.shape
    canonical = move_back(seen.reshape(b, h * w, 3), view)
    return to_normalised(project(canonical, camera), camera).reshape(b, h, w, 2)


def sample(picture: Float[Tensor, "n c h w"], grid: Float[Tensor, "b s t 2"]) -> Float[Tensor, "b c s t"]:
    """Bilinear reading of pictures at a grid, zero outside. One picture (n = 1) may serve every grid."""
    if picture.shape[0] != grid.shape[0]:
        picture = picture.expand(grid.shape[0], -1, -1, -1)
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def turned_with(view: Float[Tensor, "b 6"], normal: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Normals of the object's own frame in the view's camera frame."""
    return torch.einsum("bij,bjhw->bihw", rotation_matrix(view[:, :3]), normal)


def resize_grid(picture: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c t t"]:
    """Bilinear resize that keeps corner pixel centres in place, the convention of the camera at every size."""
    return torch.nn.functional.interpolate(picture, size=(size, size), mode="bilinear", align_corners=True)
