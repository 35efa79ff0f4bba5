"""Many samples in the first iterations."""

from __future__ import annotations

from dataclasses import replace

from bozzetto.config import Stage
from bozzetto.studies.compare import arms_table, by_photo, claim_lower, difference, records, verdict_of
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.plots import dots
from bozzetto.studies.sweeps import worst

ROUNDS, SAMPLES = 10, 128  # Rep, Table 2


def run(desk: Desk) -> Outcome:
    """The base with and without initialisation iterations: mean, spread and the worst cases."""
    first = desk.base.stages[0]
    begin = (
        Stage(first.albedo, 0, 0, first.samples, first.mirror, first.mirror_albedo),
        Stage(1, 1, 1, SAMPLES, first.mirror, first.mirror_albedo, repeat=ROUNDS),
        replace(first, albedo=1),
    )
    # One batch of so many samples a round is kept: more would take longer than all the rest.
    arms = [
        Arm("plain", "the base", desk.base),
        Arm("init", f"{ROUNDS} x 1/1/1 at Np {SAMPLES} first", replace(desk.base, stages=begin + desk.base.stages[1:])),
    ]
    pieces = desk.run_arms(arms)
    key = "mad_depth_deg" if desk.has_truth else "roughness"
    title = "MAD, deg" if desk.has_truth else "roughness"
    values = {arm.name: by_photo(pieces, arm.name, key) for arm in arms}
    dots(desk.job.out / "init.png", [(title, {name: list(found.values()) for name, found in values.items()})])
    bad = sorted(values["plain"], key=lambda name: values["plain"][name], reverse=True)
    bad = bad[: max(1, len(bad) // 2)]
    change = difference(
        *({name: values[arm][name] for name in bad if name in values[arm]} for arm in ("plain", "init"))
    )
    claims = (
        claim_lower("initialisation iterations help on average", "Rep 4.2, 5.10", pieces, "init", "plain", key, " deg"),
        Claim(
            "they help the worst cases",
            "Rep 5.10",
            verdict_of(change, -1),
            f"on the worse half of the photos, init minus plain: {change.told(' deg')}",
        ),
    )
    rows = tuple((name, round(worst(found), 3)) for name, found in values.items())
    tables = (
        arms_table(desk, arms, pieces),
        Table("", ("", f"{title}, mean of the worst quarter"), rows),
    )
    captions = (("init.png", "Each photo a ring; mean and standard deviation over photos in black."),)
    return Outcome(tables, claims, captions, pieces=records(pieces))


STUDY = Study("init", "Do initialisation iterations help?", "Rep 4.2, 5.10; Table 2", 6, "0,1", run)
