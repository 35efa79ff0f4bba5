"""Cutting the object out of the height field: a surface that ends at the mask and does not fall to the background.

The depth network joins object and background by steep walls. Seen from the side those walls smear; so what is drawn
carries depth and texture a little way beyond the mask's edge, cuts at the mask, and puts the rest out of sight.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.warp import resize_grid
from bozzetto.types import Camera, Factors

MASK_THRESHOLD = 0.5
# A surface whose depth changes by more than this per unit of sideways way is a jump, not a slope (6: 80 degrees).
MAX_SLOPE = 6.0
_RINGS = 3  # pixels of the network's size that depth and texture are carried beyond the mask


def extend(
    values: Float[Tensor, "b c h w"], inside: Float[Tensor, "b 1 h w"], rings: int = _RINGS
) -> Float[Tensor, "b c h w"]:
    """Values inside the binary mask carried outward `rings` pixels by 3 x 3 means; all others stay as they were."""
    known, result = inside.to(values.dtype), values
    for _ in range(rings):
        count = F.avg_pool2d(known, 3, stride=1, padding=1)
        seen = torch.where(known > 0, result, torch.zeros_like(result))
        mean = F.avg_pool2d(seen, 3, stride=1, padding=1) / count.clamp(min=1e-6)
        fresh = (known == 0) & (count > 0)
        if not bool(fresh.any()):
            break
        result = torch.where(fresh, mean, result)
        known = torch.maximum(known, fresh.to(values.dtype))
    return result


def binary(mask: Float[Tensor, "b 1 h w"], threshold: float = MASK_THRESHOLD) -> Float[Tensor, "b 1 h w"]:
    """1 where the mask reaches the threshold, else 0; an item without any such pixel is taken whole."""
    inside = mask >= threshold
    nothing = ~inside.flatten(1).any(1)
    return (inside | nothing[:, None, None, None]).to(mask.dtype)


def object_mask(
    mask: Float[Tensor, "b 1 h w"], normal: Float[Tensor, "b 3 h w"], max_slope: float = MAX_SLOPE
) -> Float[Tensor, "b 1 h w"]:
    """The canonical mask as things are cut by it: without the walls round the object, its outline smooth.

    A wall is steeper than `max_slope` and near the mask's edge; steep places inside the object (nostrils) stay. The
    smoothing takes away the pixel stairs, which a turn would stretch into teeth. A mask that never reaches the
    threshold, or is all wall, gives the whole picture: something has to be drawn.
    """
    steep = normal[:, 2:].abs() * (1 + max_slope**2) ** 0.5 < 1
    near_edge = F.max_pool2d(1 - binary(mask), 2 * _RINGS + 1, stride=1, padding=_RINGS) > 0
    kept = torch.where(steep & near_edge, torch.zeros_like(mask), mask)
    for _ in range(2):
        kept = F.avg_pool2d(kept, 3, stride=1, padding=1, count_include_pad=False)
    useful = (kept >= MASK_THRESHOLD).flatten(1).any(1)[:, None, None, None]
    return torch.where(useful, kept, torch.ones_like(mask))


def cut_out(factors: Factors, mask: Float[Tensor, "b 1 h w"], far: float) -> Factors:
    """Factors whose surface is the object alone.

    Args:
        factors: canonical factors; depth in scene units.
        mask: `object_mask`.
        far: depth, in scene units, that everything away from the object is pushed back to, so that it hides nothing.
    """
    inside = binary(mask)
    near_object = F.max_pool2d(inside, 2 * _RINGS + 1, stride=1, padding=_RINGS)
    depth = torch.where(near_object > 0, extend(factors.depth, inside), torch.full_like(factors.depth, far))
    return Factors(depth, extend(factors.albedo, inside), factors.view, factors.light)


@lru_cache(maxsize=32)
def _catmull_rom(size: int, new_size: int) -> Float[Tensor, "t s"]:
    """Weights that resample a line of `size` values to `new_size`, both ends kept; exact for parabolas inside.

    torch's own bicubic (a = -0.75) is exact for constants alone and ripples with the pixel, which shading would show.
    """
    position = torch.linspace(0, size - 1, new_size, dtype=torch.float64)
    left = position.floor().clamp(max=size - 2)
    t = position - left
    weights = torch.stack(
        (
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        )
    )
    matrix = torch.zeros(new_size, size, dtype=torch.float64)
    rows = torch.arange(new_size)
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        matrix.index_put_((rows, (left.long() + offset).clamp(0, size - 1)), weight, accumulate=True)
    return matrix


def resample_smooth(values: Float[Tensor, "b c s s"], size: int) -> Float[Tensor, "b c t t"]:
    """Resize by Catmull-Rom splines, corner pixel centres kept in place: continuous slopes, no ripple."""
    matrix = _catmull_rom(values.shape[-1], size).to(values.dtype)
    return matrix @ values @ matrix.T


def at_size(factors: Factors, camera: Camera, size: int) -> tuple[Factors, Camera]:
    """The same object on a finer or coarser pixel grid: depth by splines (smooth normals), albedo bilinear.

    The corner pixel centres stay where they are, as the camera's convention asks, so only the sampling changes.
    """
    if size == camera.size:
        return factors, camera
    depth = resample_smooth(factors.depth, size)
    return (
        Factors(depth, resize_grid(factors.albedo, size), factors.view, factors.light),
        Camera(size, camera.fov_deg),
    )


def soft_edge(mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """A mask upscaled bilinearly has edges several pixels wide; this steepens them about the threshold."""
    t = ((mask - (MASK_THRESHOLD - 0.2)) / 0.4).clamp(0, 1)
    return t * t * (3 - 2 * t)
