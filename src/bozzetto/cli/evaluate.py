"""`bozzetto eval RESULT... --truth FILE|DIR`: scores of finished results against a known truth, as JSON."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.score import score_head, shape_of
from bozzetto.bench.truth import is_head_file, read_head
from bozzetto.bench.truth_files import find_truth, read_depth_file, truth_from
from bozzetto.cli.bench import novel_distance
from bozzetto.cli.parse import parse
from bozzetto.errors import InputError
from bozzetto.export.files import write_text
from bozzetto.losses.perceptual import Perceptual
from bozzetto.metrics.truth import score_truth
from bozzetto.results import Reconstruction
from bozzetto.results.provenance import plain


@dataclass(frozen=True)
class Arguments:
    results: tyro.conf.Positional[tuple[Path, ...]]  # result folders
    truth: Path  # depth (16-bit PNG, NPZ, NPY, EXR) or a head file (.npz); or a folder of these, by the photos' names
    frame: Literal["posed", "canonical"] = "posed"  # how the truth shows the object: as the photo does, or frontal
    json: Path | None = None  # also write what is printed here


def evaluate(argv: Sequence[str]) -> int:
    """Print the scores as JSON; returns the exit code."""
    what = "Score finished results against a known truth."
    args = parse(Arguments, argv, "eval", what)
    if not args.results:
        raise InputError("No result is named; give one or more result folders.")
    rows = [evaluate_one(folder, args.truth, args.frame) for folder in args.results]
    content: dict[str, Any] = {"results": rows}
    if len(rows) > 1:
        content["mean"] = mean_scores([row["scores"] for row in rows])
    text = json.dumps(plain(content), indent=1, allow_nan=False) + "\n"
    if args.json is not None:
        write_text(args.json, text)
    sys.stdout.write(text)
    return 0


def evaluate_one(folder: Path, truth: Path, frame: str) -> dict[str, Any]:
    """One result's line of the JSON.

    Raises:
        InputError, MissingExtraError: there is no truth for it, or not one that can be read.
        OutputError: the folder is no result.
    """
    result = Reconstruction.load(folder)
    path = find_truth(truth, result.provenance.input_name)
    heads = read_head(path) if is_head_file(path) else None
    if heads is not None:
        scores = against_head(result, heads, path)
    else:
        known = truth_from(read_depth_file(path), result.size)
        if frame == "posed":
            scores = score_truth(result.depth_posed, result.normal_posed, result.recon_mask, known, result.camera)
        else:
            everywhere = torch.ones_like(result.depth)
            scores = score_truth(result.depth, result.normal, everywhere, known, result.camera)
    return {
        "result": folder,
        "truth": path,
        "frame": "posed, and canonical_*" if heads is not None else frame,
        "size": result.size,
        "scores": scores,
    }


def against_head(result: Reconstruction, heads: HeadTruth, path: Path) -> dict[str, float]:
    """Everything that a rendered head's own file allows."""
    if heads.image.shape[-1] != result.size:
        raise InputError(f"{path} is {heads.image.shape[-1]} px wide and the result {result.size}.")
    perceptual: Perceptual | None = novel_distance(result.size) if heads.turned_image.shape[1] > 0 else None
    return score_head(shape_of(result), heads, result.camera, perceptual)


def mean_scores(rows: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """Mean of every score over the results that have it."""
    out: dict[str, float | None] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        known = [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
        out[name] = statistics.fmean(known) if known else None
    return out


COMMANDS = {"eval": evaluate}
