"""What mistakes of the public implementations cost."""

from __future__ import annotations

from dataclasses import replace

from bozzetto.bench.score import perfect_shape, score_head
from bozzetto.config import FitConfig, Round
from bozzetto.presets import find_general_preset
from bozzetto.studies.compare import arms_table, by_photo, claim_lower, difference, lead_of, records, verdict_of
from bozzetto.studies.desk import Arm, Desk, Piece
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.joint import trained
from bozzetto.studies.networks import seen_scores
from bozzetto.studies.plots import dots
from bozzetto.studies.scale import scaled_general
from bozzetto.types import Camera

PHOTOS = 8  # of the joint training


def run(desk: Desk) -> Outcome:
    """Collected samples or the last ones, the mirror on and off, every photo's gradient or the first one's."""
    anew = replace(desk.base, project=replace(desk.base.project, collect="redraw"))
    last = replace(desk.base, project=replace(desk.base.project, collect="last"))
    arms = [
        Arm("ours", "samples drawn anew for step 3; mirror on", mirrored(anew, True)),
        Arm("last samples", "step 3 sees the last projections alone", mirrored(last, True)),
        Arm("no mirror", "without the losses of the mirrored object", mirrored(anew, False)),
    ]
    pieces = desk.run_arms(arms)
    lead = lead_of(desk)
    tables = [arms_table(desk, arms, pieces)]
    claims = [
        claim_lower("samples drawn anew beat the last ones", "ours", pieces, "ours", "last samples", lead),
        claim_lower("the mirror helps on faces", "Pan", pieces, "ours", "no mirror", lead),
    ]
    if desk.has_truth:
        table, claim = _gradients(desk)
        tables += [table, _published(desk, pieces)]
        claims.append(claim)
    panels = [(lead.title, {a.name: list(by_photo(pieces, a.name, lead.key).values()) for a in arms})]
    dots(desk.job.out / "upstream-bugs.png", panels)
    captions = (("upstream-bugs.png", "Each photo a ring; mean and standard deviation over photos in black."),)
    return Outcome(tuple(tables), tuple(claims), captions, pieces=records(pieces))


def mirrored(config: FitConfig, mirror: bool) -> FitConfig:
    """The same stages with the mirror's losses on or off, in steps 1 and 3."""
    return replace(config, stages=tuple(replace(s, mirror=mirror, mirror_albedo=mirror) for s in config.stages))


def _gradients(desk: Desk) -> tuple[Table, Claim]:
    """A joint training in which every photo of a batch counts in step 1, and one in which the first alone does."""
    photos = desk.subjects[:PHOTOS]
    quick = find_general_preset("general-quick")
    part: Round = quick.rounds[0]
    config = scaled_general(
        replace(quick, rounds=(replace(part, epochs=2, albedo=100),)), desk.job.scale, desk.job.scale_prior
    )
    found = {}
    for name, first in (("every photo", None), ("the first photo", 1)):
        settings = replace(config, albedo_photos=first)
        model = trained(desk, photos, settings, desk.seeds[0])
        found[name] = seen_scores(desk, photos, model, settings.fit)
    rows: tuple[tuple[str | float | None, ...], ...] = tuple(
        (name, *(_mean([s[key] for s in scores.values() if key in s], digits) for key, digits in SCORED))
        for name, scores in found.items()
    )
    every, first_alone = ({n: s["albedo_error"] for n, s in scores.items()} for scores in found.values())
    change = difference(first_alone, every)
    claim = Claim(
        "every photo's gradient in step 1 beats the first one's",
        "ours",
        verdict_of(change, -1),
        f"albedo error on the photos trained on, every photo minus the first alone: {change.told('', 4)}",
    )
    note = f"One model for {len(photos)} photos, scored on {change.n} of them without a fit; seed {desk.seeds[0]}."
    header = ("counts in step 1", "SIDE x100", "MAD, deg", "albedo error", "relighting error")
    return Table("Joint training", header, rows, note), claim


def _mean(values: list[float], digits: int) -> float | None:
    """None where no photo has the score, such as heads without pictures under other lights."""
    return round(sum(values) / len(values), digits) if values else None


SCORED = (("side_x100", 2), ("mad_depth_deg", 1), ("albedo_error", 4), ("relight_error", 4))


def _published(desk: Desk, pieces: list[Piece]) -> Table:
    """What the published formulae say of the truth itself, and of the fits."""
    rows: list[tuple[str | float | None, ...]] = []
    perfect = []
    for subject in desk.subjects:
        assert subject.truth is not None
        perfect.append(score_head(perfect_shape(subject.truth), subject.truth, Camera(desk.size)))
    ours = [piece.scores for piece in pieces if piece.arm == "ours"]
    for name, scores in (("the truth itself", perfect), ("ours", ours)):
        rows.append(
            (
                name,
                *(
                    round(sum(s[key] for s in scores) / len(scores), 2)
                    for key in ("mad_depth_deg", "mad_published_deg")
                ),
            )
        )
    return Table("MAD, right and as published", ("", "MAD, deg", "published MAD, deg"), tuple(rows))


STUDY = Study("upstream-bugs", "What do the implementations' mistakes cost?", "defects of both", 5, "0", run)
