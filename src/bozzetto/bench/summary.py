"""From the scores of single pieces to the numbers of the table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bozzetto.bench.rows import Row
from bozzetto.bench.units import Unit
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.metrics.pose import aligned_rotation_error_deg

SIDE_FACE_DEG = 25.0  # yaw beyond which a head counts as a side face


@dataclass(frozen=True)
class Score:
    """A column: NAME_mean, NAME_sd and NAME_seed_sd in the JSON, and what the pages call it."""

    name: str
    source: str  # key in a piece's scores (`bench.score.score_head`, docs/metrics.md)
    title: str
    digits: int
    depth: bool = False  # of the shape in the photo's pose; the others are more than depth


SCORES = (
    Score("side", "side_x100", "SIDE x100", 3, True),
    Score("mad", "mad_depth_deg", "MAD, deg", 2, True),
    Score("mad_mesh", "mad_mesh_deg", "MAD to the true surface, deg", 2, True),
    Score("side_published", "side_published_x100", "published SIDE x100", 3, True),
    Score("mad_published", "mad_published_deg", "published MAD, deg", 2, True),
    Score("side_published_formula", "side_published_formula_x100", "published SIDE x100, truth mask", 3),
    Score("mad_published_formula", "mad_published_formula_deg", "published MAD, truth mask, deg", 2),
    Score("side_published_mask", "side_published_mask_x100", "SIDE x100, published mask", 3),
    Score("mad_published_mask", "mad_published_mask_deg", "MAD, published mask, deg", 2),
    Score("coverage", "coverage", "coverage", 3, True),
    Score("canonical_side", "canonical_side_x100", "canonical SIDE x100", 3),
    Score("canonical_mad", "canonical_mad_depth_deg", "canonical MAD, deg", 2),
    Score("canonical_side_published", "canonical_side_published_x100", "canonical published SIDE x100", 3),
    Score("canonical_mad_published", "canonical_mad_published_deg", "canonical published MAD, deg", 2),
    Score("edge_completeness", "edge_completeness", "edge completeness", 3),
    Score("edge_correctness", "edge_correctness", "edge correctness", 3),
    Score("novel_psnr", "novel_psnr_db", "novel views PSNR, dB", 2),
    Score("novel_perceptual", "novel_perceptual", "novel views ST-LPIPS", 3),
    Score("relight_error", "relight_error", "relighting error", 3),
    Score("albedo_error", "albedo_error", "albedo error", 3),
    Score("light_error", "light_error_deg", "light direction, deg", 1),
    Score("view_error", "view_error_deg", "view, deg", 1),
    Score("view_aligned_error", "view_aligned_error_deg", "view after a common rotation, deg", 1),
    Score("mask_iou", "mask_iou", "mask IoU", 3),
    Score("inversion_psnr", "inversion_psnr_db", "inversion PSNR, dB", 2),
    Score("training_seconds", "training_seconds", "training, s", 0),
)


def summarise_row(row: Row, units: Sequence[Unit], size: int) -> dict[str, Any]:
    """The row of the JSON: means and standard deviations of every score, over heads and over seeds.

    NAME_mean is the mean over heads of each head's mean over seeds, NAME_sd the standard deviation (n - 1) of these
    head means, NAME_seed_sd the standard deviation (n - 1) over seeds of the mean over heads. What is not known is
    None. yaw25_*: mean and standard deviation over the heads whose true yaw is beyond 25 degrees.
    """
    heads, seeds = sorted({u.head for u in units}), sorted({u.seed for u in units if u.seed is not None})
    table = {(u.head, u.seed): {**u.scores, **aligned} for u, aligned in zip(units, view_scores(units), strict=True)}
    tried: list[int | None] = [*seeds] or [None]
    out: dict[str, Any] = {"name": row.name, "what": row.what, "n": len(heads), "size": size, "seeds": seeds}
    for score in SCORES:
        values = [[table[h, s].get(score.source, math.nan) for s in tried] for h in heads]
        by_head = [mean_of(line) for line in values]
        by_seed = [mean_of(line) for line in zip(*values, strict=True)]
        out[f"{score.name}_mean"], out[f"{score.name}_sd"] = mean_of(by_head), sd_of(by_head)
        out[f"{score.name}_seed_sd"] = sd_of(by_seed)
    out["seconds_mean"] = mean_of([u.seconds for u in units])
    turned = [u for u in units if abs(u.yaw_deg) > SIDE_FACE_DEG]
    out["yaw25_n"] = len({u.head for u in turned})
    for name, source in (("side", "side_x100"), ("mad", "mad_depth_deg")):
        by_head = [
            mean_of([table[h, s].get(source, math.nan) for s in tried]) for h in sorted({u.head for u in turned})
        ]
        out[f"yaw25_{name}_mean"], out[f"yaw25_{name}_sd"] = mean_of(by_head), sd_of(by_head)
    out["heads"] = [
        {
            "head": u.head,
            "seed": u.seed,
            "yaw_deg": u.yaw_deg,
            "side": u.scores["side_x100"],
            "mad": u.scores["mad_depth_deg"],
            "mad_mesh": u.scores.get("mad_mesh_deg"),
            "seconds": u.seconds,
        }
        for u in units
    ]
    return out


def view_scores(units: Sequence[Unit]) -> list[dict[str, float]]:
    """What only all heads of a seed together tell: the error of each view after the best common rotation."""
    found: dict[tuple[int, int | None], float] = {}
    for seed in {u.seed for u in units}:
        some = [u for u in units if u.seed == seed]
        predicted, true = (
            rotation_matrix(torch.tensor([view[:3] for view in views], dtype=torch.float64))
            for views in ([u.view for u in some], [u.true_view for u in some])
        )
        errors = aligned_rotation_error_deg(predicted, true).tolist()
        found |= {(u.head, seed): error for u, error in zip(some, errors, strict=True)}
    return [{"view_aligned_error_deg": found[u.head, u.seed]} for u in units]


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean of the known values; None if there are none."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return statistics.fmean(known) if known else None


def sd_of(values: Sequence[float | None]) -> float | None:
    """Standard deviation (n - 1) of the known values; None if there are fewer than two."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return statistics.stdev(known) if len(known) > 1 else None


def wins(row: dict[str, Any], other: dict[str, Any]) -> dict[str, int]:
    """On how many heads a row's mean over seeds is better than another row's, in SIDE, in MAD, and in both."""
    better = {
        name: {head: a[head] < b[head] for head in a.keys() & b.keys()}
        for name in ("side", "mad")
        for a, b in [(by_head(row, name), by_head(other, name))]
    }
    both = sum(better["side"][head] and better["mad"][head] for head in better["side"])
    return {**{name: sum(flags.values()) for name, flags in better.items()}, "both": both}


def by_head(row: dict[str, Any], name: str) -> dict[int, float]:
    """A score's mean over seeds, by head."""
    values: dict[int, list[float]] = {}
    for piece in row["heads"]:
        values.setdefault(piece["head"], []).append(piece[name])
    return {head: statistics.fmean(found) for head, found in values.items()}
