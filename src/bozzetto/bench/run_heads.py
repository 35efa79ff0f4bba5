"""Reconstructions of rendered heads against their true depth, head by head: the prior, the result and two baselines."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bozzetto.bench.datasets import load_packed_heads, packed_average_depth
from bozzetto.bench.truth import truth_of
from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import write_text
from bozzetto.ingredients import Plan, mask_of
from bozzetto.keep import Progress, Quiet
from bozzetto.metrics.truth import Truth, score_truth
from bozzetto.pipeline import run
from bozzetto.priors.registry import find_prior, prior_depth
from bozzetto.results.partial import differences
from bozzetto.results.provenance import plain
from bozzetto.types import Camera

METHODS = ("constant", "average", "prior", "result")
SCORES = ("side_x100", "mad_mesh_deg", "mad_depth_deg")
ASSETS = Path(__file__).parent.parent / "assets"


@dataclass(frozen=True)
class HeadsRun:
    """Which heads, and how the photo is cut out."""

    n: int = 10  # heads
    start: int = 0  # the first of them
    mask: str = "auto"  # a segmenter's name, or "truth"
    json: Path = Path("results/heads.json")  # finished heads are kept here and not done again
    out: Path | None = None  # folder for the result folders, if they are to be kept


def run_heads(
    heads: HeadsRun,
    make_plan: Callable[[Tensor, str | Tensor], Plan],
    settings: Mapping[str, Any],
    size: int,
    overwrite: bool = False,
    progress: Callable[[int, Plan], Progress] | None = None,
    on_head: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Score `n` of the packed test heads; returns what the JSON file holds.

    Args:
        make_plan: (image [3, S, S], mask) -> plan.
        settings: what decides the rows, as plain JSON; a file of other settings is refused.
        progress: (head, plan) -> what hears of its run.
        on_head: called with every row, old or new.

    Raises:
        InputError: there are not so many heads, or none of the size.
        OutputError: the JSON file is of other settings or cannot be written.
    """
    packed = ASSETS / f"heads_test_{size}.npz"
    if not packed.is_file():
        raise InputError(f"There are no packed test heads of {size} px; use a generator of 64 or 128 px.")
    truths = load_packed_heads(packed)
    if heads.n < 1 or heads.start < 0 or heads.start + heads.n > len(truths):
        raise InputError(f"There are {len(truths)} test heads of {size} px; --start and --n must stay within them.")
    average = packed_average_depth(packed)[0] if size == 64 else None
    rows = {} if overwrite else read_rows(heads.json, settings)
    for index in range(heads.start, heads.start + heads.n):
        if index not in rows:
            truth = truth_of(truths, index)
            job = make_plan(truths.image[index], truth.mask if heads.mask == "truth" else heads.mask)
            hears = progress(index, job) if progress else Quiet()
            folder = None if heads.out is None else heads.out / f"head_{index:02d}"
            rows[index] = {"head": index, **score_head(job, truth, average, folder, hears, overwrite)}
            write_rows(heads.json, settings, rows)
        if on_head is not None:
            on_head(rows[index])
    chosen = [rows[i] for i in range(heads.start, heads.start + heads.n)]
    return write_rows(heads.json, settings, rows, summary(chosen))


def score_head(
    job: Plan, truth: Truth, average: Tensor | None, folder: Path | None, progress: Progress, overwrite: bool
) -> dict[str, Any]:
    """One head: scores of constant depth, the average training depth, the prior and the result, by method."""
    masked, _ = mask_of(job, None, progress)
    baselines: dict[str, Tensor | None] = {"constant": torch.ones_like(truth.depth), "average": average}
    row_of = find_prior(job.config.prior.shape)
    if row_of.has_shape:  # as it stands on the photo's own outline, in the photo's pose
        outline = masked.score if row_of.reads == "score" else masked.mask
        baselines["prior"] = prior_depth(row_of.name, outline, job.depth_range, job.category)[0]
    row: dict[str, Any] = {
        name: score_whole(depth, truth, job.camera) for name, depth in baselines.items() if depth is not None
    }
    start = time.perf_counter()
    result = run(job, folder, resume=folder is not None, overwrite=overwrite, progress=progress, truth=truth)
    row["result"] = dict(result.provenance.metrics or {})
    row["mask_iou"] = float(
        ((masked.mask > 0.5) & (truth.mask > 0.5)).sum() / ((masked.mask > 0.5) | (truth.mask > 0.5)).sum()
    )
    row["inversion_psnr_db"] = result.provenance.config["found"]["inversion_psnr_db"]
    row["seconds"] = round(time.perf_counter() - start, 2)
    return row


def score_whole(depth: Tensor, truth: Truth, camera: Camera) -> dict[str, float]:
    """Scores of a depth map [1, S, S] that knows a depth everywhere."""
    return score_truth(depth, None, torch.ones_like(depth), truth, camera)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means by method and score, and on how many heads the result beats its prior."""
    present = [method for method in METHODS if all(method in row for row in rows)]
    means = {m: {s: statistics.fmean(row[m][s] for row in rows) for s in SCORES} for m in present}
    found: dict[str, Any] = {"heads": len(rows), "means": means}
    if "prior" in present:
        better = {s: [row["result"][s] < row["prior"][s] for row in rows] for s in SCORES}
        found["beats_prior"] = {s: sum(flags) for s, flags in better.items()}
        both = zip(better["side_x100"], better["mad_mesh_deg"], strict=True)
        found["beats_prior"]["side_x100 and mad_mesh_deg"] = sum(a and b for a, b in both)
    return found


def read_rows(path: Path, settings: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Rows of an earlier run with the same settings; none if there is no file. Raises OutputError."""
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text("utf-8"))
        differing = differences(stored["settings"], settings)
        rows = {int(row["head"]): row for row in stored["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is no file of `bozzetto bench heads`; use another --json.") from error
    if differing:
        raise OutputError(
            f"{path} holds heads of other settings ({', '.join(differing[:4])}); use another --json or --overwrite."
        )
    return rows


def write_rows(
    path: Path, settings: Mapping[str, Any], rows: Mapping[int, Any], found: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write all rows, and a summary if there is one; returns what was written."""
    content = {"settings": dict(settings), "rows": [rows[i] for i in sorted(rows)], "summary": found}
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")
    return content
