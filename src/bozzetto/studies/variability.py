"""What the seed changes."""

from __future__ import annotations

import statistics
from dataclasses import replace

from bozzetto.errors import InputError
from bozzetto.studies.compare import records
from bozzetto.studies.desk import Arm, Desk, Piece
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.sheet import spread_map, write_maps

ALL, WEIGHTS, DRAWS = "all", "weights", "draws"
BRIGHT = 40.0  # per cent of the half range: the bright end of the maps


def run(desk: Desk) -> Outcome:
    """The same fit with other seeds: of everything, of the initial weights alone, of all but the weights."""
    if len(desk.seeds) < 2:
        raise InputError("The study `variability` compares seeds; give two or more to --seeds.")
    first = desk.seeds[0]
    nets = desk.base.nets
    what = {
        ALL: "another seed of everything",
        WEIGHTS: "other initial weights; latent and samples the same",
        DRAWS: "the same initial weights; latent and samples others",
    }
    found: dict[str, list[Piece]] = {name: [] for name in what}
    for subject in desk.subjects:
        for seed in desk.seeds:
            for name, config, drawn in (
                (ALL, desk.base, seed),
                (WEIGHTS, replace(desk.base, nets=replace(nets, seed=seed)), first),
                (DRAWS, replace(desk.base, nets=replace(nets, seed=first)), seed),
            ):
                arm = Arm(name, what[name], config)
                piece = desk.fit(f"{name} {seed}", subject, drawn, desk.plan(subject, arm.config, drawn))
                found[name].append(replace(piece, arm=name, seed=seed))
    maps, rows = [], []
    spread: dict[str, list[float]] = {}
    for name, pieces in found.items():
        for subject in desk.subjects:
            mine = [piece for piece in pieces if piece.subject.name == subject.name]
            if len(mine) < 2:
                continue
            shown = spread_map([piece.result for piece in mine])
            maps.append((f"{subject.name}, {name}", shown))
            spread.setdefault(name, []).append(float(shown[shown > 0].mean()))
        row: list[str | float | None] = [name, what[name]]
        row.append(None if name not in spread else round(statistics.fmean(spread[name]), 2))
        for key in ("side_x100", "mad_depth_deg") if desk.has_truth else ("roughness",):
            values = [
                statistics.stdev([p.scores[key] for p in pieces if p.subject.name == s.name]) for s in desk.subjects
            ]
            row.append(round(statistics.fmean(values), 3))
        rows.append(tuple(row))
    write_maps(desk.job.out / "variability.png", maps, BRIGHT, "% of the half depth range", len(desk.subjects))
    scores = ("sd of SIDE x100", "sd of MAD, deg") if desk.has_truth else ("sd of roughness",)
    header = ("", "what", "sd of the depth, % of the half range", *scores)
    note = f"Standard deviations over {len(desk.seeds)} runs, means over {len(desk.subjects)} photos."
    share = statistics.fmean(spread[WEIGHTS]) / statistics.fmean(spread[DRAWS]) if spread else 0.0
    claims = (
        Claim(
            "runs of the same photo differ",
            "Rep 5.7",
            "holds" if statistics.fmean(spread[ALL]) > 1 else "does not hold",
            f"the depth's standard deviation is {statistics.fmean(spread[ALL]):.1f} % of the half range",
        ),
        Claim(
            "the initial weights cause it, not the sampling",
            "Rep 5.7 (open)",
            "holds" if share > 1.5 else "does not hold" if share < 1 / 1.5 else "undecided",
            f"the spread from weights alone is {share:.2f} times that from latent and samples alone",
        ),
    )
    pieces = [piece for some in found.values() for piece in some]
    captions = (("variability.png", "Standard deviation of the frontal depth over runs."),)
    return Outcome((Table("", header, tuple(rows), note),), claims, captions, pieces=records(pieces))


STUDY = Study(
    "variability", "How much do runs differ by their seed, and why?", "Rep 5.7", 2, "0,1,2,3,4,5,6,7,8,9", run
)
