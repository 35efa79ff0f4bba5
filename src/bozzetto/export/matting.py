"""Cutting the object out of the height field: a surface that ends at the mask and does not fall to the background.

The depth network joins object and background by steep walls. Seen from the side those walls smear; so what is drawn
carries depth and texture a little way beyond the mask's edge, cuts at the mask, and puts the rest out of sight. The
last pixels before the edge are mixed with the background, in the picture and in what the networks learned from it, so
their colour comes from further inside and their depth is evened out.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.pose import PIVOT_DEPTH
from bozzetto.geometry.warp import resize_grid
from bozzetto.types import Camera, Factors

MASK_THRESHOLD = 0.5
# A surface whose depth changes by more than this per unit of sideways way is a jump, not a slope (6: 80 degrees).
MAX_SLOPE = 6.0
_RINGS = 3  # pixels of the network's size that depth and texture are carried beyond the mask
_SPLINE = 3  # more of them for depth, so that resampling (2 to either side) meets no jump
_RIM = 2  # pixels inside the outline whose colour and depth are not to be trusted
_EVENINGS = 4  # 3 x 3 means


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


def smooth_outline(mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """The mask without the stairs of its pixels, twice the mean of 3 x 3; the picture's border stays sharp."""
    for _ in range(2):
        mask = F.avg_pool2d(mask, 3, stride=1, padding=1, count_include_pad=False)
    return mask


def object_mask(
    mask: Float[Tensor, "b 1 h w"], normal: Float[Tensor, "b 3 h w"], max_slope: float = MAX_SLOPE
) -> Float[Tensor, "b 1 h w"]:
    """The canonical mask as things are cut by it: without the walls round the object, its outline smooth.

    A wall is steeper than `max_slope` and near the mask's edge; steep places inside the object (nostrils) stay. The
    smoothing takes away the pixel stairs, which a turn would stretch into teeth. A mask that never reaches the
    threshold, or is all wall, gives the whole picture: something has to be drawn.
    """
    steep = normal[:, 2:].abs() * (1 + max_slope**2) ** 0.5 < 1
    near_edge = _grown(1 - binary(mask), _RINGS) > 0
    kept = torch.where(steep & near_edge, torch.zeros_like(mask), mask)
    kept = smooth_outline(kept)
    useful = (kept >= MASK_THRESHOLD).flatten(1).any(1)[:, None, None, None]
    return torch.where(useful, kept, torch.ones_like(mask))


def core(inside: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """The binary mask without its outermost `_RIM` pixels, which hold some of the background's colour.

    The picture's border is no outline. Parts that are nowhere thicker than that, such as ears, stay whole.
    """
    inner = 1 - _grown(1 - inside, _RIM)
    thin = inside * (1 - _grown(inner, _RIM + 1))  # one more, so that round corners are not taken for parts
    return torch.maximum(inner, thin)


def carry_colours(colours: Float[Tensor, "b 3 h w"], inside: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Colours of the mask's core carried over its rim and `_RINGS` pixels beyond the binary mask."""
    return extend(colours, core(inside), _RIM + _RINGS)


def carry_depth(depth: Float[Tensor, "b 1 h w"], inside: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Depth carried `_RINGS` and a spline's reach beyond the binary mask, and evened out along the outline.

    Where the network's depth begins to fall to the background it does so in steps of a pixel, which a turn would
    stretch into teeth: outside, and within `_RIM` pixels inside, it is the mean of its surroundings, known depth alone.
    What is no number far from the object becomes the pivot's depth, for a spline would spread it.
    """
    rings = _RINGS + _SPLINE
    known = _grown(inside, rings)
    finite = torch.nan_to_num(depth, nan=PIVOT_DEPTH, posinf=PIVOT_DEPTH, neginf=PIVOT_DEPTH)
    depth = torch.where(known > 0, extend(depth, inside, rings), finite)
    near_outline = (_grown(1 - inside, _RIM) * known) > 0
    count = F.avg_pool2d(known, 3, stride=1, padding=1).clamp(min=1e-6)
    for _ in range(_EVENINGS):
        mean = F.avg_pool2d(depth * known, 3, stride=1, padding=1) / count
        depth = torch.where(near_outline, mean, depth)
    return depth


def _grown(inside: Float[Tensor, "b 1 h w"], pixels: int) -> Float[Tensor, "b 1 h w"]:
    return F.max_pool2d(inside, 2 * pixels + 1, stride=1, padding=pixels)


def cut_out(factors: Factors, mask: Float[Tensor, "b 1 h w"]) -> Factors:
    """Factors whose surface and paint go on beyond the object's outline; what lies further off is as it was.

    Args:
        factors: canonical factors; depth in scene units.
        mask: `object_mask`.
    """
    inside = binary(mask)
    return Factors(
        carry_depth(factors.depth, inside), carry_colours(factors.albedo, inside), factors.view, factors.light
    )


def push_back(depth: Float[Tensor, "b 1 t t"], mask: Float[Tensor, "b 1 s s"], far: float) -> Float[Tensor, "b 1 t t"]:
    """Everything away from the object put back to `far`, scene units, so that it hides nothing.

    Args:
        depth: of `cut_out`, resampled or not: a spline through the jump would bulge beside it.
        mask: `object_mask`, at its own size.
    """
    near_object = resize_grid(_grown(binary(mask), _RINGS), depth.shape[-1]) >= 0.5
    return torch.where(near_object, depth, torch.full_like(depth, far))


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
