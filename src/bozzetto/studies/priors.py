"""Which shape to start from."""

from __future__ import annotations

from dataclasses import replace

from bozzetto.bench.makers import PriorAlone
from bozzetto.bench.score import score_head
from bozzetto.keep import Quiet
from bozzetto.priors.registry import PRIORS
from bozzetto.studies.compare import arms_table, by_photo, cell, claim_lower, difference, lead_of, records, verdict_of
from bozzetto.studies.desk import Arm, Desk, Piece
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.plots import dots
from bozzetto.studies.sheet import write_sheet
from bozzetto.types import Camera


def run(desk: Desk) -> Outcome:
    """Every prior, fitted; alone, where the truth is known; side faces apart."""
    prior = desk.base.prior
    arms = [desk.arm(row.name, f"start: {row.name}", prior=replace(prior, shape=row.name)) for row in PRIORS.values()]
    pieces = desk.run_arms(arms)
    tables = [arms_table(desk, arms, pieces, "Fitted")]
    if desk.has_truth:
        tables += [_alone(desk), _sides(arms, pieces)]
    names = [arm.name for arm in arms]
    write_sheet(desk.job.out / "priors_sheet.webp", pieces, names, desk.seeds[0])
    lead = lead_of(desk)
    second = ("side_x100", "SIDE x100") if desk.has_truth else ("range", "depth range, scene units")
    panels = [
        (name, {arm: list(by_photo(pieces, arm, score).values()) for arm in names})
        for score, name in (second, (lead.key, lead.title))
    ]
    dots(desk.job.out / "priors.png", panels)
    captions = (
        ("priors.png", "Each photo a ring; mean and standard deviation over photos in black."),
        (
            "priors_sheet.webp",
            "Photo and what the generator made of it; then for each prior frontal normals, and the object turned "
            "by 30 degrees.",
        ),
    )
    notes = ("The confidence priors read a segmenter's score; one that gives a mask alone makes them masked boxes.",)
    return Outcome(tuple(tables), tuple(_claims(desk, pieces)), captions, notes, records(pieces))


def _claims(desk: Desk, pieces: list[Piece]) -> list[Claim]:
    rough = difference(by_photo(pieces, "ellipsoid", "roughness"), by_photo(pieces, "none", "roughness"))
    lead = lead_of(desk)
    wrong = difference(by_photo(pieces, "ellipsoid", lead.key), by_photo(pieces, "none", lead.key))
    more = f"; roughness: {rough.told('', 4)}" if lead.judges else ""
    none = Claim(
        "without a prior the shape is noise",
        "Rep 4.2",
        lead.verdict(verdict_of(wrong, 1)),
        f"without a prior minus from the ellipsoid: {lead.told(wrong)}{more}",
    )
    if not desk.has_truth:
        return [none]
    sides = [piece for piece in pieces if piece.subject.is_side_face]
    return [
        claim_lower(
            "the smoothed box finds normals that the ellipsoid misses",
            "Rep 4.2",
            pieces,
            "smoothed-box",
            "ellipsoid",
            lead,
        ),
        claim_lower(
            "on side views the confidence prior copes better than the ellipsoid",
            "Rep 4.2",
            sides,
            "confidence",
            "ellipsoid",
            lead,
        ),
        none,
    ]


def _alone(desk: Desk) -> Table:
    rows = []
    for row in PRIORS.values():
        if not row.has_shape:
            continue
        maker = PriorAlone(row.name, desk.job.mask, desk.job.category or "heads")
        scores = []
        for subject in desk.subjects:
            assert subject.truth is not None
            made = maker.make(subject.truth, None, desk.job.out, Quiet())
            scores.append(score_head(made.shape, subject.truth, Camera(desk.size)))
        side, mad = ([found[key] for found in scores] for key in ("side_x100", "mad_depth_deg"))
        rows.append((row.name, cell(side, 2), cell(mad, 1)))
    note = "The shape on the photo's outline, in the photo's pose, not fitted."
    return Table("Alone", ("", "SIDE x100", "MAD, deg"), tuple(rows), note)


def _sides(arms: list[Arm], pieces: list[Piece]) -> Table:
    rows = []
    for arm in arms:
        row: list[str | float | None] = [arm.name]
        for turned in (False, True):
            some = [p for p in pieces if p.subject.is_side_face is turned]
            row += [cell(list(by_photo(some, arm.name, key).values()), d) for key, d in SCORED]
        rows.append(tuple(row))
    count = len({p.subject.name for p in pieces if p.subject.is_side_face})
    header = ("", "SIDE x100", "MAD, deg", "SIDE x100, side faces", "MAD, deg, side faces")
    return Table("Side faces apart", header, tuple(rows), f"{count} of the photos are turned by more than 25 degrees.")


SCORED = (("side_x100", 2), ("mad_depth_deg", 1))

STUDY = Study("priors", "Which shape should a fit start from?", "Rep 4.2, 5.6; figures 2, 6, 7, 10, 11", 5, "0", run)
