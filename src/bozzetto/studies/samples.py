"""How many pseudo views and lights an iteration."""

from __future__ import annotations

from bozzetto.studies.compare import arms_table, by_photo, difference, records
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study, Verdict
from bozzetto.studies.plots import curves
from bozzetto.studies.scale import with_samples
from bozzetto.studies.sweeps import points

COUNTS = (2, 4, 8, 16, 32)


def run(desk: Desk) -> Outcome:
    """Quality and time against Np."""
    arms = [Arm(f"Np {count}", f"{count} samples an iteration", with_samples(desk.base, count)) for count in COUNTS]
    pieces = desk.run_arms(arms)
    lead = "mad_depth_deg" if desk.has_truth else "roughness"
    names = dict(zip(COUNTS, (arm.name for arm in arms), strict=True))
    panels = [
        ("MAD, deg" if desk.has_truth else "roughness", {"": points(pieces, names, lead)}),
        ("seconds a photo", {"": points(pieces, names, "seconds")}),
    ]
    curves(desk.job.out / "samples.png", "samples an iteration, Np", panels, log_x=True)
    changes = [
        difference(by_photo(pieces, names[a], lead), by_photo(pieces, names[b], lead))
        for a, b in ((COUNTS[0], COUNTS[-1]), (8, COUNTS[-1]), (COUNTS[0], 8))
    ]
    more, beyond, until = changes
    unit = " deg" if desk.has_truth else ""
    verdict: Verdict = "undecided"
    if more.is_decided:
        verdict = "holds" if more.mean < 0 else "does not hold"
    claims = (
        Claim("a larger Np helps", "Rep 3.4, 5.11", verdict, f"Np 32 minus Np 2: {more.told(unit)}"),
        Claim(
            "beyond 8 samples returns diminish (faces)",
            "Rep 5.11",
            _diminishing(until.mean, beyond.mean, until.is_decided or beyond.is_decided),
            f"Np 8 minus Np 2: {until.told(unit)}; Np 32 minus Np 8: {beyond.told(unit)}",
        ),
    )
    captions = (("samples.png", "Mean and standard deviation over photos."),)
    return Outcome((arms_table(desk, arms, pieces),), claims, captions, pieces=records(pieces))


def _diminishing(until: float, beyond: float, decided: bool) -> Verdict:
    """Whether what comes before Np 8 gains more than what comes after."""
    if not decided:
        return "undecided"
    return "holds" if until < min(beyond, 0.0) else "does not hold"


STUDY = Study("samples", "How many samples does an iteration need?", "Rep 3.4, 5.11", 4, "0", run)
