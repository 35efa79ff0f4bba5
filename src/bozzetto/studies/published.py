"""The replication's published maps beside ours, by statistics that need no truth, and by eye."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.npz import read_npz
from bozzetto.errors import InputError
from bozzetto.export.images import depth_rgb, shown_depth_range, write_webp
from bozzetto.studies.compare import arms_table, cell, records
from bozzetto.studies.desk import Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.sheet import draw_lines
from bozzetto.studies.statistics_of import depth_statistics
from bozzetto.types import DepthRange

PRIORS = ("ellipsoid", "smoothed-box")


@dataclass(frozen=True)
class Map:
    """One published map."""

    category: str
    prior: str
    depth: Float[Tensor, "1 s s"]  # scene units
    mask: Float[Tensor, "1 s s"]


def read_map(path: Path, size: int) -> Map:
    """A map from its file, z = -depth and NaN off the object, averaged to `size` pixels.

    Raises InputError for anything else.
    """
    arrays = read_npz(path, "give a folder of the replication's maps to --maps")
    name = re.sub(r"__plotly.*", "", path.stem).replace("_", " ")
    category, _, prior = name.partition(" - ")
    z = arrays.get("z")
    if z is None or z.ndim != 2 or not z.size or z.shape[0] != z.shape[1] or z.shape[0] % size:
        raise InputError(f"{path} is no map whose side is a multiple of {size}; give another folder to --maps.")
    depth = -torch.from_numpy(z.astype(np.float32))[None, None]
    known = (~depth.isnan()).float()
    factor = z.shape[0] // size
    share = torch.nn.functional.avg_pool2d(known, factor)
    mean = torch.nn.functional.avg_pool2d(depth.nan_to_num(), factor) / share.clamp(min=1e-6)
    return Map(category.lower(), prior.lower().replace(" ", "-"), mean[0], (share[0] > 0.5).float())


def run(desk: Desk) -> Outcome:
    """Their maps' statistics and pictures, and those of ours from the same two priors."""
    if desk.job.maps is None:
        raise InputError("The study `published` needs the replication's maps; give their folder to --maps.")
    files = sorted(desk.job.maps.glob("*.npz"))
    if not files:
        raise InputError(f"{desk.job.maps} holds no maps (.npz).")
    maps = [read_map(path, desk.size) for path in files]
    arms = [desk.arm(name, f"start: {name}", prior=replace(desk.base.prior, shape=name)) for name in PRIORS]
    pieces = desk.run_arms(arms)
    rows = []
    for kind in dict.fromkeys((m.category, m.prior) for m in maps):
        some = [depth_statistics(m.depth, m.mask) for m in maps if (m.category, m.prior) == kind]
        rows.append((f"published: {kind[0]}, {kind[1]}", str(len(some)), *_cells(some)))
    category = desk.gan.info.category
    for arm in arms:
        mine = [piece.scores for piece in pieces if piece.arm == arm.name]
        rows.append((f"ours: {category}, {arm.name}", str(len(mine)), *_cells(mine)))
    lines = []
    for m in maps:
        shown = shown_depth_range(m.depth, m.mask, DepthRange())
        lines.append((f"{m.category} {m.prior}", [depth_rgb(m.depth, shown.near, shown.far, m.mask)]))
    for piece in pieces:
        result = piece.result
        shown = shown_depth_range(result.depth, result.canonical_mask, result.depth_range)
        picture = depth_rgb(result.depth, shown.near, shown.far, result.canonical_mask)
        lines.append((f"ours {piece.arm}", [picture]))
    page = draw_lines([lines[i : i + 6] for i in range(0, len(lines), 6)], "bright is near; each map to its own range")
    write_webp(page, desk.job.out / "published.webp")
    note = (
        "Photos differ: theirs are LSUN's, 128 px, averaged to the generator's size here; no truth is known of either."
    )
    table = Table("", ("", "n", "depth range", "roughness", "coverage"), tuple(rows), note)
    claim = Claim(
        "ours are as smooth and as deep as the published maps",
        "ours",
        "not tested",
        "no verdict without a truth; the table and the sheet are for the eye",
    )
    captions = (("published.webp", "The published maps, then ours."),)
    return Outcome((table, arms_table(desk, arms, pieces, "Ours")), (claim,), captions, pieces=records(pieces))


def _cells(some: list[dict[str, float]]) -> tuple[str | None, ...]:
    return tuple(cell([s[key] for s in some], d) for key, d in (("range", 4), ("roughness", 4), ("coverage", 3)))


STUDY = Study("published", "How do the replication's published maps compare?", "Rep's results site", 4, "0", run)
