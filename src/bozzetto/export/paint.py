"""What the object is painted with at any size: its albedo, or its texture where it has a finer one."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.export.matting import binary, carry_colours, core, object_mask, resample_smooth
from bozzetto.export.scene import Scene
from bozzetto.geometry import shade
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.warp import resize_grid
from bozzetto.types import Camera


def painted(scene: Scene, size: int, lit: bool = False, background: bool = False) -> Float[Tensor, "1 3 t t"]:
    """Canonical colours at a size: the object's carried beyond its mask, so that no background shows at the rim.

    Args:
        lit: with the photo's light in them.
        background: as they are, outside of the object too.
    """
    inside = binary(object_mask(scene.canonical_mask[None], scene.normal[None]))
    small = scene.albedo[None] * (scene.shading if lit else 1)
    carried = small if background else carry_colours(small, inside)
    plain = carried if size == scene.camera.size else resize_grid(carried, size)
    if scene.texture is None or size <= scene.camera.size:
        return plain
    fine = scene.texture[None] / 255
    if lit:
        fine = fine * _shading(scene, fine.shape[-1])
    detail = averaged(fine, size) - resize_grid(small, size)
    # What is carried to the rim has no detail of its own.
    return plain + (detail if background else detail * resize_grid(core(inside), size))


def _shading(scene: Scene, size: int) -> Float[Tensor, "1 1 t t"]:
    """The photo's light on the surface at a larger size, as the texture was made with it."""
    camera, light = Camera(size, scene.camera.fov_deg), scene.light[None]
    return shade.shading(shade.diffuse(normals(resample_smooth(scene.depth[None], size), camera), light), light)


@lru_cache(maxsize=32)
def _means(size: int, new_size: int) -> Float[Tensor, "t s"]:
    """Weights that bring a line of `size` pixels to `new_size` fewer ones, each the mean of those within a pixel of it,
    nearer ones counting more; the centres of the pixels at both ends kept."""
    position = torch.linspace(0, size - 1, new_size, dtype=torch.float64)
    reach = (size - 1) / (new_size - 1)
    weights = (1 - (position[:, None] - torch.arange(size)).abs() / reach).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


def averaged(values: Float[Tensor, "b c s s"], size: int) -> Float[Tensor, "b c t t"]:
    """Resize with corner pixel centres kept in place: smaller by means, so that no detail flickers, larger bilinear."""
    if size >= values.shape[-1]:
        return values if size == values.shape[-1] else resize_grid(values, size)
    matrix = _means(values.shape[-1], size).to(values.dtype)
    return matrix @ values @ matrix.T
