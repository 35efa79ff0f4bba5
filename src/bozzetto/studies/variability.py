"""What the seed changes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import replace

from bozzetto.errors import InputError
from bozzetto.studies.compare import records, seed_sd
from bozzetto.studies.desk import Desk, Piece
from bozzetto.studies.job import Claim, Outcome, Study, Table, Verdict
from bozzetto.studies.sheet import spread_map, write_maps
from bozzetto.studies.subjects import Subject

ALL, WEIGHTS, DRAWS = "all", "weights", "draws"
BRIGHT = 40.0  # per cent of the half range: the bright end of the maps
DIFFERENT = 1.0  # per cent of the half range: runs that are nearer count as the same
CAUSE = 1.5  # times: a spread so much larger than another is the cause
LEAST = 3  # runs that a verdict needs, of two photos or more


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

    def fits(subject: Subject) -> Iterator[Piece]:
        for seed in desk.seeds:
            for name, config, drawn in (
                (ALL, desk.base, seed),
                (WEIGHTS, replace(desk.base, nets=replace(nets, seed=seed)), first),
                (DRAWS, replace(desk.base, nets=replace(nets, seed=first)), seed),
            ):
                piece = desk.fit(f"{name} {seed}", subject, drawn, desk.plan(subject, config, drawn))
                yield replace(piece, arm=name, seed=seed)

    pieces = desk.run_each(fits)
    photos = list(dict.fromkeys(piece.subject.name for piece in pieces))
    maps, rows = [], []
    spread: dict[str, list[float]] = {}
    for name in what:
        for photo in photos:
            results = [p.result for p in pieces if p.arm == name and p.subject.name == photo]
            shown = spread_map(results)
            maps.append((f"{photo}, {name}", shown))
            inside = shown[shown > 0]
            spread.setdefault(name, []).append(float(inside.mean()) if len(inside) else 0.0)
        row: list[str | float | None] = [name, what[name], round(statistics.fmean(spread[name]), 2)]
        for key in ("side_x100", "mad_depth_deg") if desk.has_truth else ("roughness",):
            sd = seed_sd(pieces, name, key)
            row.append(None if sd is None else round(sd, 3 if desk.has_truth else 4))
        rows.append(tuple(row))
    write_maps(desk.job.out / "variability.png", maps, BRIGHT, "% of the half depth range", len(photos))
    scores = ("sd of SIDE x100", "sd of MAD, deg") if desk.has_truth else ("sd of roughness",)
    header = ("", "what", "sd of the depth, % of the half range", *scores)
    note = f"Standard deviations over {len(desk.seeds)} runs, means over {len(photos)} photos."
    whole, weights, draws = (statistics.fmean(spread[name]) for name in (ALL, WEIGHTS, DRAWS))
    share = weights / draws if draws > 0 else math.inf if weights > 0 else math.nan
    enough = len(desk.seeds) >= LEAST and len(desk.subjects) >= 2
    claims = (
        Claim(
            "runs of the same photo differ",
            "Rep 5.7",
            _verdict("holds" if whole > DIFFERENT else "does not hold", enough),
            f"the depth's standard deviation is {whole:.1f} % of the half range; more than {DIFFERENT:g} % counts as "
            "different",
        ),
        Claim(
            "the initial weights cause it, not the sampling",
            "Rep 5.7 (open)",
            _verdict("holds" if share > CAUSE else "does not hold" if share < 1 / CAUSE else "undecided", enough),
            f"the spread from weights alone is {share:.2f} times that from latent and samples alone; over {CAUSE:g} it "
            f"holds, under {1 / CAUSE:.2f} not, no test of chance",
        ),
    )
    captions = (("variability.png", "Standard deviation of the frontal depth over runs."),)
    return Outcome((Table("", header, tuple(rows), note),), claims, captions, pieces=records(pieces))


def _verdict(found: Verdict, enough: bool) -> Verdict:
    """Undecided where there are too few runs or photos for any verdict."""
    return found if enough else "undecided"


STUDY = Study(
    "variability", "How much do runs differ by their seed, and why?", "Rep 5.7", 2, "0,1,2,3,4,5,6,7,8,9", run
)
