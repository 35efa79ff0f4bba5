"""Seconds against quality, for all schedules."""

from __future__ import annotations

import statistics

from bozzetto.errors import InputError
from bozzetto.general_model import built_in_for, load_general
from bozzetto.inputs import check_fit
from bozzetto.presets import find_preset
from bozzetto.studies.compare import arms_table, by_photo, difference, records, verdict_of
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.plots import scatter
from bozzetto.studies.scale import scaled

# Shares of the schedules, times --scale: the papers' whole ones take an hour or two a photo on two cores.
SHARES: dict[str, tuple[float, ...]] = {
    "quick": (1.0,),
    "rep": (1 / 16,),
    "rep-init": (1 / 16,),
    "pan-face": (1 / 16,),
    "pan-synface": (1 / 16,),
}


def run(desk: Desk) -> Outcome:
    """Every preset at a share of its iterations, and what a whole schedule would take at that pace."""
    arms: list[Arm] = []
    shares: dict[str, float] = {}
    notes: list[str] = []
    for name, some in SHARES.items():
        for share in some:
            part = share * desk.job.scale
            arm = Arm(
                f"{name} at {100 * part:.3g} %", f"preset {name}", scaled(find_preset(name), part, desk.job.scale_prior)
            )
            try:
                check_fit(arm.config, desk.gan.info)
            except InputError as error:  # such as more mapping layers than this generator has
                notes.append(f"{name} is left out: {error}")
                continue
            arms.append(arm)
            shares[arm.name] = part
    pieces = desk.run_arms(arms)
    general = built_in_for(desk.job.gan)
    if general is not None:
        model = load_general(general, desk.device)
        for name, count in (("general", 0), ("general + refine", None)):
            arm = Arm(name, "the built-in general model" + ("" if count == 0 else ", refined"), find_preset("refine"))
            arms.append(arm)
            shares[name] = 1.0
            for subject in desk.subjects:
                for seed in desk.seeds:
                    job = desk.plan(subject, arm.config, seed, general=model, refine=count)
                    pieces.append(desk.fit(name, subject, seed, job))
    key = "mad_depth_deg" if desk.has_truth else "roughness"
    seconds = {arm.name: statistics.fmean(by_photo(pieces, arm.name, "seconds").values()) for arm in arms}
    quality = {arm.name: statistics.fmean(by_photo(pieces, arm.name, key).values()) for arm in arms}
    title = "MAD, deg" if desk.has_truth else key
    scatter(
        desk.job.out / "speed.png",
        "seconds a photo",
        title,
        {arm.name: (max(seconds[arm.name], 1e-2), quality[arm.name]) for arm in arms},
    )
    rows = tuple(
        (
            arm.name,
            round(seconds[arm.name], 1),
            round(seconds[arm.name] / shares[arm.name] / 60, 1),
            round(quality[arm.name], 2),
        )
        for arm in arms
    )
    note = "The third column is the second over the share: what the whole schedule would take at that pace, the "
    note += "inversion's few seconds counted as if they grew too."
    table = Table("", ("", "s a photo", "whole schedule, min", title), rows, note)
    claims = []
    rep = next(arm.name for arm in arms if arm.name.startswith("rep at"))
    quick = arms[0].name
    change = difference(by_photo(pieces, rep, key), by_photo(pieces, quick, key))
    claims.append(
        Claim(
            f"`quick` is better than {rep} of its iterations",
            "ours",
            verdict_of(change, -1),
            f"{quick} minus {rep}: {change.told()}; seconds {seconds[quick]:.0f} against {seconds[rep]:.0f}",
        )
    )
    captions = (("speed.png", "Mean over photos; lower and further left is better."),)
    return Outcome(
        (table, arms_table(desk, arms, pieces, "Scores")), tuple(claims), captions, tuple(notes), records(pieces)
    )


STUDY = Study("speed", "What does a minute buy?", "ours", 3, "0", run)
