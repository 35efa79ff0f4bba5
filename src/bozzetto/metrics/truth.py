"""Scores of a shape in its photo's pose against a known truth, as the numbers that results keep."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.metrics.edges import edge_scores
from bozzetto.metrics.report import score_depth
from bozzetto.types import Camera


@dataclass(frozen=True)
class Truth:
    """What is known of one photo's object, in the photo's pose."""

    depth: Float[Tensor, "1 s s"]  # scene units; NaN off the object
    normal: Float[Tensor, "3 s s"] | None = None  # of the true surface, unit, toward the camera

    @property
    def mask(self) -> Float[Tensor, "1 s s"]:
        return (~self.depth.isnan()).to(self.depth.dtype)


def score_truth(
    depth: Float[Tensor, "1 s s"],
    normal: Float[Tensor, "3 s s"] | None,
    covered: Float[Tensor, "1 s s"],
    truth: Truth,
    camera: Camera,
) -> dict[str, float]:
    """Score a depth map, in the photo's pose, on the whole of the truth's mask.

    Pixels that the prediction leaves open take the nearest values it has, so that nothing is gained by shrinking.

    Args:
        depth: scene units; holds where covered.
        normal: unit, toward the camera; None takes them from the depth.
        covered: 1 where the prediction has a depth, else 0.

    Returns:
        side_x100: scale-invariant depth error on the truth mask, x 100.
        mad_mesh_deg: mean angle to the true surface's normals on the truth mask (absent where these are not known).
        mad_depth_deg: mean angle between normals taken from both depth maps, on the truth mask eroded once.
        coverage: share of the truth mask that the prediction covers.
        side_published_mask_x100, mad_published_mask_deg: the same two (normals from depth) on the published mask.
        side_published_formula_x100, mad_published_formula_deg: the published formulae on the truth mask.
        side_published_x100, mad_published_deg: the published formulae on the published mask.
        edge_completeness, edge_correctness: of depth edges on the truth mask; NaN where there are none.
    """
    filled = fill_open(depth, covered)[None]
    mask, known = truth.mask[None], covered[None]
    if normal is not None:
        normal = F.normalize(fill_open(normal, covered), dim=0)
    plain = score_depth(filled, truth.depth[None], mask, camera, predicted_valid=known)
    scores = {"side_x100": 100 * plain.side, "mad_depth_deg": plain.mad_deg}
    if truth.normal is not None:
        predicted = None if normal is None else normal[None]
        against_mesh = score_depth(
            filled, truth.depth[None], mask, camera, truth_normal=truth.normal[None], prediction_normal=predicted
        )
        scores["mad_mesh_deg"] = against_mesh.mad_deg
    scores["coverage"] = (mask * known).sum() / mask.sum()
    for name in ("side_published_mask", "side_published_formula", "side_published"):
        scores[f"{name}_x100"] = 100 * getattr(plain, name)
    for name in ("mad_published_mask_deg", "mad_published_formula_deg", "mad_published_deg"):
        scores[name] = getattr(plain, name)
    edges = edge_scores(filled, truth.depth[None], mask, camera)
    scores["edge_completeness"], scores["edge_correctness"] = edges.completeness, edges.correctness
    return {name: float(value) for name, value in scores.items()}


def fill_open(values: Float[Tensor, "c s s"], covered: Float[Tensor, "1 s s"]) -> Float[Tensor, "c s s"]:
    """Fill what is not covered from its border outward, ring by ring, with the mean of the known neighbours."""
    kernel = torch.ones(1, 1, 3, 3, dtype=values.dtype, device=values.device)
    known = (covered > 0).to(values.dtype)[None]
    picture = torch.where(known > 0, values[None], torch.zeros_like(values[None]))
    while 0 < int(known.sum()) < known.numel():
        count = F.conv2d(known, kernel, padding=1)
        sums = F.conv2d(picture.transpose(0, 1), kernel, padding=1).transpose(0, 1)
        fresh = (known == 0) & (count > 0)
        picture = torch.where(fresh, sums / count.clamp(min=1), picture)
        known = torch.where(fresh, torch.ones_like(known), known)
    return picture[0]
