"""The smallest pieces of a bench: one row on one head with one seed, one file each, so that a bench can go on.

Beside `table.json` lies the folder `table` with

| file | what |
|---|---|
| ROW/head_003.json, ROW/seed_0/head_003.json | settings and scores; rows that no seed changes have no seed folder |
| the same with .npz | the predicted depth and normals in the photo's pose, for the gallery |

The JSON is written last: where it is, the piece is done.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.datasets import decode_normal, encode_normal
from bozzetto.bench.npz import read_npz, write_npz
from bozzetto.bench.score import Shape
from bozzetto.errors import OutputError
from bozzetto.export.files import write_error, write_text
from bozzetto.metrics.report import unit_normals_from_depth
from bozzetto.metrics.truth import fill_open
from bozzetto.results.partial import differences
from bozzetto.results.provenance import plain
from bozzetto.types import Camera

KIND = "bozzetto-bench-head"


@dataclass(frozen=True)
class Unit:
    """One row on one head with one seed."""

    row: str
    head: int
    seed: int | None  # None where no seed changes the row
    scores: Mapping[str, float]  # see `bench.score.score_head`; NaN where a score is not defined
    seconds: float  # for this photo
    view: tuple[float, ...]  # predicted; see docs/conventions.md
    true_view: tuple[float, ...]

    @property
    def yaw_deg(self) -> float:
        """How far the head is really turned to a side."""
        return math.degrees(self.true_view[1])


def unit_path(folder: Path, row: str, head: int, seed: int | None) -> Path:
    """Where a piece lies in the bench's folder."""
    place = folder / row.replace(":", "-")
    return (place if seed is None else place / f"seed_{seed}") / f"head_{head:03d}.json"


def write_unit(path: Path, unit: Unit, settings: Mapping[str, Any], shape: Shape, camera: Camera) -> None:
    """Write a piece, the pictures first. Raises OutputError."""
    depth = fill_open(shape.depth_posed, shape.covered)
    if shape.normal_posed is None:
        normal = unit_normals_from_depth(depth[None], camera)[0]
    else:
        normal = torch.nn.functional.normalize(fill_open(shape.normal_posed, shape.covered), dim=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    code = encode_normal(normal.permute(1, 2, 0).double().numpy())
    write_npz(path.with_suffix(".npz"), {"depth": depth[0].numpy().astype(np.float32), "normal": code})
    record = {"kind": KIND, "settings": settings, **{name: getattr(unit, name) for name in Unit.__dataclass_fields__}}
    write_text(path, json.dumps(plain(record), indent=1, allow_nan=False) + "\n")


def read_unit(path: Path, settings: Mapping[str, Any]) -> Unit | None:
    """A piece that is done already; None if there is none.

    Raises:
        OutputError: the file is damaged, or of other settings.
    """
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text("utf-8"))
        differing = differences(stored["settings"], plain(settings))
        scores = {name: math.nan if value is None else float(value) for name, value in stored["scores"].items()}
        unit = Unit(
            row=str(stored["row"]),
            head=int(stored["head"]),
            seed=None if stored["seed"] is None else int(stored["seed"]),
            scores=scores,
            seconds=float(stored["seconds"]),
            view=tuple(float(v) for v in stored["view"]),
            true_view=tuple(float(v) for v in stored["true_view"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{path} is no piece of a bench, or damaged; delete it or use another --json.") from error
    if differing:
        raise OutputError(
            f"{path} was made with other settings ({', '.join(differing[:4])}); use another --json or --overwrite."
        )
    return unit


def read_pictures(path: Path) -> tuple[Float[Tensor, "1 s s"], Float[Tensor, "3 s s"]]:
    """Depth (scene units) and unit normals of a piece, in the photo's pose. Raises InputError."""
    arrays = read_npz(path.with_suffix(".npz"), "delete the piece and run the bench again")
    normal = torch.from_numpy(decode_normal(arrays["normal"])).permute(2, 0, 1)
    return torch.from_numpy(arrays["depth"])[None], normal
