"""`bozzetto estimate-views RESULT...`: how the views and lights of finished results are distributed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor

from bozzetto.cli.parse import parse
from bozzetto.errors import InputError
from bozzetto.export.files import write_text
from bozzetto.method.sampling import LightDistribution, SceneDistribution, ViewDistribution
from bozzetto.nets.heads import ViewScale
from bozzetto.results import Reconstruction, is_result_folder
from bozzetto.serve.rebuild import rebuild

CORRELATED_FROM = 30  # results; below, correlations of six numbers are mostly noise
SHRINKAGE = 0.05  # toward independence, so that a correlation can be drawn from
RANGE = (0.05, 0.95)  # quantiles between which lights are drawn
STEADY_SD = 1e-4  # network units; a number that varies less is a constant


@dataclass(frozen=True)
class Arguments:
    results: tyro.conf.Positional[tuple[Path, ...]] = ()  # result folders, or folders of these
    out: Path = Path("results/scenes.json")  # for `bozzetto reconstruct --scenes`
    yaw_scale: float = 1.0  # widens the yaw when drawing


def estimate_views(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "estimate-views", "Measure views and lights of finished results.")
    folders = find_results(args.results)
    scenes = estimate([Reconstruction.load(folder) for folder in folders], args.yaw_scale)
    write_text(args.out, json.dumps({"results": len(folders), **asdict(scenes)}, indent=2) + "\n")
    sys.stdout.write(f"{scenes!r}\n{args.out}\n")
    return 0


def find_results(paths: Sequence[Path]) -> list[Path]:
    """Result folders, named themselves or by the folder they lie in. Raises InputError."""
    found: list[Path] = []
    for path in paths:
        inside = [path] if is_result_folder(path) else []
        if not inside and path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_dir() and is_result_folder(p))
        if not inside:
            raise InputError(f"{path} is no result folder and holds none.")
        found += [folder for folder in inside if folder not in found]
    if len(found) < 2:
        raise InputError(f"At least two results are needed, and {len(found)} were named.")
    return found


def estimate(results: Sequence[Reconstruction], yaw_scale: float = 1.0) -> SceneDistribution:
    """Mean, standard deviation and (with results enough) correlation of views; ranges of light directions.

    Views are in the view network's units. How strongly the light's strength is varied stays as published: one photo
    of each object does not tell it.
    """
    views = torch.stack([result.view / _scale_of(result) for result in results]).double()
    sd = views.std(0)
    correlation = _correlation(views, sd) if len(results) >= CORRELATED_FROM else None
    directions = torch.stack([result.light[2:] for result in results]).double()
    low, high = torch.quantile(directions, torch.tensor(RANGE, dtype=torch.float64), dim=0)
    return SceneDistribution(
        ViewDistribution(_numbers(views.mean(0)), _numbers(sd), correlation, yaw_scale),
        LightDistribution(dx=_pair(low[0], high[0]), dy=_pair(low[1], high[1])),
    )


def _scale_of(result: Reconstruction) -> Tensor:
    """Radians and scene units of one network unit; 1 for what cannot move, whose values are 0."""
    fit = result.provenance.config.get("fit", {})
    try:
        scale = rebuild(ViewScale, fit.get("view", {}) if isinstance(fit, dict) else {})
    except ValueError:
        raise InputError(
            f"The result of {result.title or 'a photo'} does not say what its views mean; reconstruct it again."
        ) from None
    factors = scale.factors(result.view)
    return torch.where(factors > 0, factors, torch.ones_like(factors))


def _correlation(views: Tensor, sd: Tensor) -> tuple[tuple[float, ...], ...]:
    unit = (views - views.mean(0)) / sd.clamp(min=STEADY_SD)
    found = unit.T @ unit / (len(views) - 1)
    found = (1 - SHRINKAGE) * found
    found.fill_diagonal_(1.0)
    return tuple(_numbers(row) for row in found)


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


def _pair(low: Tensor, high: Tensor) -> tuple[float, float]:
    return round(float(low), 4), round(float(high), 4)


COMMANDS = {"estimate-views": estimate_views}
