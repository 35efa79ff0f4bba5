"""How many pseudo views and lights an iteration."""

from __future__ import annotations

from bozzetto.studies.compare import arms_table, by_photo, difference, lead_of, records, verdict_of
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study
from bozzetto.studies.plots import curves
from bozzetto.studies.scale import with_samples
from bozzetto.studies.sweeps import points

COUNTS = (2, 4, 8, 16, 32)


def run(desk: Desk) -> Outcome:
    """Quality and time against Np."""
    arms = [Arm(f"Np {count}", f"{count} samples an iteration", with_samples(desk.base, count)) for count in COUNTS]
    pieces = desk.run_arms(arms)
    lead = lead_of(desk)
    names = dict(zip(COUNTS, (arm.name for arm in arms), strict=True))
    panels = [
        (lead.title, {"": points(pieces, names, lead.key)}),
        ("seconds a photo", {"": points(pieces, names, "seconds")}),
    ]
    curves(desk.job.out / "samples.png", "samples an iteration, Np", panels, log_x=True)
    found = {count: by_photo(pieces, name, lead.key) for count, name in names.items()}
    more, until, beyond = (difference(found[a], found[b]) for a, b in ((2, 32), (2, 8), (8, 32)))
    # Np grows fourfold either way: what the second step changes, less what the first one does, photo by photo.
    bend = difference(
        *(
            {photo: found[b][photo] - found[a][photo] for photo in found[a].keys() & found[b].keys()}
            for a, b in ((2, 8), (8, 32))
        )
    )
    diminish = verdict_of(bend, 1)
    if diminish == "holds" and until.mean >= 0:
        diminish = "does not hold"  # there is no return to diminish
    claims = (
        Claim(
            "a larger Np helps",
            "Rep 3.4, 5.11",
            lead.verdict(verdict_of(more, -1)),
            f"Np 32 minus Np 2: {lead.told(more)}",
        ),
        Claim(
            "beyond 8 samples returns diminish (faces)",
            "Rep 5.11",
            lead.verdict(diminish),
            f"Np 8 minus Np 2: {lead.told(until)}; Np 32 minus Np 8: {lead.told(beyond)}; "
            f"the second minus the first: {lead.told(bend)}",
        ),
    )
    captions = (("samples.png", "Mean and standard deviation over photos."),)
    return Outcome((arms_table(desk, arms, pieces),), claims, captions, pieces=records(pieces))


STUDY = Study("samples", "How many samples does an iteration need?", "Rep 3.4, 5.11", 4, "0", run)
