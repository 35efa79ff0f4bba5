"""Statistics of a depth map that need no truth, for ours and for published ones alike."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.metrics.masks import erode
from bozzetto.results import Reconstruction

LOW, HIGH = 0.05, 0.95  # quantiles that the range of a depth is taken between


def depth_statistics(depth: Float[Tensor, "1 s s"], mask: Float[Tensor, "1 s s"]) -> dict[str, float]:
    """How rough and how deep a depth map is.

    Args:
        depth: any unit.
        mask: 1 on the object.

    Returns:
        range: between the 5 % and 95 % quantiles on the mask, in units of the depth.
        roughness: mean absolute second difference (along rows and columns, between neighbours that are all on the
            mask), in units of `range`: 0 for a plane; independent of scale and offset of the depth.
        coverage: share of the picture that the mask takes.
    """
    inside = mask > 0.5
    if int(inside.sum()) < 9:
        return {"range": float("nan"), "roughness": float("nan"), "coverage": float(inside.float().mean())}
    values = depth[inside]
    ends = torch.quantile(values.double(), torch.tensor([LOW, HIGH], dtype=torch.float64))
    spread = float(ends[1] - ends[0])
    inner = erode(inside[None].to(depth.dtype))[0] > 0.5
    bends = []
    for dim in (1, 2):
        middle = depth.narrow(dim, 1, depth.shape[dim] - 2)
        bend = depth.narrow(dim, 0, depth.shape[dim] - 2) + depth.narrow(dim, 2, depth.shape[dim] - 2) - 2 * middle
        bends.append(bend[inner.narrow(dim, 1, depth.shape[dim] - 2)].abs())
    bend = torch.cat(bends)
    rough = float(bend.mean()) / spread if spread > 0 and len(bend) else float("nan")
    return {"range": spread, "roughness": rough, "coverage": float(inside.float().mean())}


def result_statistics(result: Reconstruction) -> dict[str, float]:
    """The same of a result, in the frontal frame, and how well it redraws its photo (dB, on the object)."""
    found = depth_statistics(result.depth, result.canonical_mask)
    inside = (result.mask > 0.5) & (result.recon_mask > 0.5)
    error = ((result.recon.clamp(0, 1) - result.image) ** 2)[inside.expand_as(result.recon)]
    found["photo_psnr_db"] = float(-10 * torch.log10(error.mean())) if error.numel() else float("nan")
    return found
