"""The object's mask in the canonical frame."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.camera import project, to_normalised, unproject
from bozzetto.geometry.pose import move
from bozzetto.geometry.warp import sample
from bozzetto.types import Camera


def canonical_mask(
    mask: Float[Tensor, "b 1 s s"], depth: Float[Tensor, "b 1 s s"], view: Float[Tensor, "b 6"], camera: Camera
) -> Float[Tensor, "b 1 s s"]:
    """Carry the photo's mask into the canonical frame: every canonical point looks up where the photo shows it.

    Points that the photo does not show, because they leave the picture, count as the object where its border does.
    """
    points = unproject(depth, camera)
    b, h, w, _ = points.shape
    seen = project(move(points.reshape(b, h * w, 3), view), camera)
    grid = to_normalised(seen, camera).reshape(b, h, w, 2).clamp(-1, 1)
    return sample(mask, grid)
