"""Many samples in the first iterations."""

from __future__ import annotations

from dataclasses import replace

from bozzetto.config import Stage
from bozzetto.studies.compare import arms_table, by_photo, claim_lower, difference, lead_of, records, verdict_of
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
    arms = [
        Arm("plain", "the base", desk.base),
        Arm("init", f"{ROUNDS} x 1/1/1 at Np {SAMPLES} first", replace(desk.base, stages=begin + desk.base.stages[1:])),
    ]
    pieces = desk.run_arms(arms)
    lead = lead_of(desk)
    values = {arm.name: by_photo(pieces, arm.name, lead.key) for arm in arms}
    dots(desk.job.out / "init.png", [(lead.title, {name: list(found.values()) for name, found in values.items()})])
    # Chosen by both arms together: the photos that are worst without would come out better by chance alone.
    both = values["plain"].keys() & values["init"].keys()
    bad = sorted(both, key=lambda name: (values["plain"][name] + values["init"][name], name), reverse=True)
    bad = bad[: max(1, len(bad) // 2)]
    change = difference(*({name: values[arm][name] for name in bad} for arm in ("plain", "init")))
    claims = (
        claim_lower("initialisation iterations help on average", "Rep 4.2, 5.10", pieces, "init", "plain", lead),
        Claim(
            "they help the worst cases",
            "Rep 5.10",
            lead.verdict(verdict_of(change, -1)),
            f"on the half of the photos that is worse in both arms together, init minus plain: {lead.told(change)}",
        ),
    )
    rows = tuple((name, round(worst(found), 3 if lead.judges else 4)) for name, found in values.items() if found)
    tables = (
        arms_table(desk, arms, pieces),
        Table("", ("", f"{lead.title}, mean of the worst quarter"), rows),
    )
    captions = (("init.png", "Each photo a ring; mean and standard deviation over photos in black."),)
    return Outcome(tables, claims, captions, pieces=records(pieces))


STUDY = Study("init", "Do initialisation iterations help?", "Rep 4.2, 5.10; Table 2", 6, "0,1", run)
