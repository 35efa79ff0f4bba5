"""How long the prior is fitted."""

from __future__ import annotations

from dataclasses import replace

from bozzetto.studies.compare import arms_table, by_photo, difference, lead_of, no_worse, records
from bozzetto.studies.desk import Desk
from bozzetto.studies.job import Claim, Outcome, Study, Verdict
from bozzetto.studies.plots import curves
from bozzetto.studies.scale import shrunk
from bozzetto.studies.sweeps import points

COUNTS = (100, 500, 1000, 2000)
THRESHOLD = 1e-6
MARGIN = 1.0  # degrees of MAD: a threshold that costs less can replace the number


def run(desk: Desk) -> Outcome:
    """Fixed numbers of iterations of step 0, and a threshold of its loss."""
    prior = desk.base.prior
    counts = [shrunk(count, desk.job.scale if desk.job.scale_prior else 1.0) for count in COUNTS]
    arms = [
        desk.arm(f"{name}", f"{count} iterations", prior=replace(prior, iterations=count, threshold=0.0))
        for name, count in zip(COUNTS, counts, strict=True)
    ]
    until = replace(prior, iterations=max(counts), threshold=THRESHOLD)
    arms.append(desk.arm("threshold", f"until the loss is below {THRESHOLD:g}, {max(counts)} at most", prior=until))
    pieces = desk.run_arms(arms)
    lead = lead_of(desk)
    names = {count: str(name) for name, count in zip(COUNTS, counts, strict=True)}
    panels = [(lead.title, {"": points(pieces, names, lead.key)})]
    curves(desk.job.out / "prior-epochs.png", "iterations of step 0", panels)
    ends = difference(by_photo(pieces, str(COUNTS[0]), lead.key), by_photo(pieces, str(COUNTS[-1]), lead.key))
    stop = difference(by_photo(pieces, "1000", lead.key), by_photo(pieces, "threshold", lead.key))
    time = difference(by_photo(pieces, "1000", "seconds"), by_photo(pieces, "threshold", "seconds"))
    matters: Verdict = "holds" if ends.is_decided else "undecided"
    claims = (
        Claim(
            "how long the prior is fitted matters",
            "Rep 3.4",
            lead.verdict(matters),
            f"{counts[-1]} minus {counts[0]} iterations: {lead.told(ends)}",
        ),
        Claim(
            "a threshold of the loss can replace the number of iterations",
            "Rep's wish",
            lead.verdict(no_worse(stop, MARGIN)),
            f"threshold minus {counts[COUNTS.index(1000)]} iterations: {lead.told(stop)}, {time.told(' s', 1)}; "
            f"it holds if the upper end of the 95 % interval stays below {MARGIN:g} deg",
        ),
    )
    captions = (("prior-epochs.png", "Mean and standard deviation over photos."),)
    return Outcome((arms_table(desk, arms, pieces),), claims, captions, pieces=records(pieces))


STUDY = Study("prior-epochs", "How long should the prior be fitted?", "Rep 3.4", 5, "0", run)
