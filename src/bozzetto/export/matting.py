"""Cutting the object out of the height field: a surface that ends at the mask and does not fall to the background.

The depth network joins object and background by steep walls. Seen from the side those walls smear; so what is drawn
carries depth and texture a little way beyond the mask's edge, cuts at the mask, and puts the rest out of sight.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.warp import resize_grid
from bozzetto.types import Camera, Factors

MASK_THRESHOLD = 0.5
_RINGS = 3  # pixels of the network's size that depth and texture are carried beyond the mask


def extend(
    values: Float[Tensor, "b c h w"], inside: Float[Tensor, "b 1 h w"], rings: int = _RINGS
) -> Float[Tensor, "b c h w"]:
    """Values inside the binary mask carried outward `rings` pixels by 3 x 3 means; all others stay as they were."""
    known, result = inside.to(values.dtype), values
    for _ in range(rings):
        count = F.avg_pool2d(known, 3, stride=1, padding=1)
        mean = F.avg_pool2d(result * known, 3, stride=1, padding=1) / count.clamp(min=1e-6)
        fresh = (known == 0) & (count > 0)
        result = torch.where(fresh, mean, result)
        known = torch.maximum(known, fresh.to(values.dtype))
    return result


def binary(mask: Float[Tensor, "b 1 h w"], threshold: float = MASK_THRESHOLD) -> Float[Tensor, "b 1 h w"]:
    """1 where the mask reaches the threshold, else 0; an item without any such pixel is taken whole."""
    inside = mask >= threshold
    nothing = ~inside.flatten(1).any(1)
    return (inside | nothing[:, None, None, None]).to(mask.dtype)


def cut_out(factors: Factors, mask: Float[Tensor, "b 1 h w"], far: float) -> tuple[Factors, Float[Tensor, "b 1 h w"]]:
    """Factors whose surface is the object alone, and the mask that ends it.

    Args:
        factors: canonical factors; depth in scene units.
        mask: canonical object mask, 0..1.
        far: depth, in scene units, that everything away from the object is pushed back to, so that it hides nothing.
    """
    inside = binary(mask)
    near_object = F.max_pool2d(inside, 2 * _RINGS + 1, stride=1, padding=_RINGS)
    depth = torch.where(near_object > 0, extend(factors.depth, inside), torch.full_like(factors.depth, far))
    soft = torch.where(mask.flatten(1).amax(1)[:, None, None, None] >= MASK_THRESHOLD, mask, inside)
    return Factors(depth, extend(factors.albedo, inside), factors.view, factors.light), soft


def at_size(factors: Factors, camera: Camera, size: int) -> tuple[Factors, Camera]:
    """The same object on a finer or coarser pixel grid: depth bicubic (smooth normals), albedo bilinear.

    The corner pixel centres stay where they are, as the camera's convention asks, so only the sampling changes.
    """
    if size == camera.size:
        return factors, camera
    depth = F.interpolate(factors.depth, size=(size, size), mode="bicubic", align_corners=True)
    return (
        Factors(depth, resize_grid(factors.albedo, size), factors.view, factors.light),
        Camera(size, camera.fov_deg),
    )


def soft_edge(mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """A mask upscaled bilinearly has edges several pixels wide; this steepens them about the threshold."""
    t = ((mask - (MASK_THRESHOLD - 0.2)) / 0.4).clamp(0, 1)
    return t * t * (3 - 2 * t)
