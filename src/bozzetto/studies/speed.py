"""Seconds against quality, for all schedules."""

from __future__ import annotations

import statistics

from bozzetto.errors import InputError
from bozzetto.general_model import built_in_for, load_general
from bozzetto.inputs import check_fit
from bozzetto.studies.compare import arms_table, by_photo, difference, lead_of, records, verdict_of
from bozzetto.studies.desk import Arm, Desk, Piece
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.plots import scatter
from bozzetto.studies.scale import scaled, studied

# Shares of the schedules, times --scale: the papers' whole ones take an hour or two a photo on two cores.
SHARES = {
    "quick": 1.0,
    "rep": 1 / 16,
    "rep-init": 1 / 16,
    "pan-face": 1 / 16,
    "pan-synface": 1 / 16,
}


def run(desk: Desk) -> Outcome:
    """Every preset at a share of its iterations, and what a whole schedule would take at that pace."""
    arms: list[Arm] = []
    shares: dict[str, float] = {}
    notes: list[str] = []
    by_preset: dict[str, str] = {}
    for name, share in SHARES.items():
        part = share * desk.job.scale
        config = scaled(studied(name), part, desk.job.scale_prior)
        arm = Arm(f"{name} at {100 * part:.3g} %", f"preset {name}", config)
        try:
            check_fit(arm.config, desk.gan.info)
        except InputError as error:  # such as more mapping layers than this generator has
            notes.append(f"{name} is left out: {error}")
            continue
        arms.append(arm)
        shares[arm.name], by_preset[name] = part, arm.name
    general = built_in_for(desk.job.gan)
    if general is not None:
        model = load_general(general, desk.device)
        for name, count in (("general", 0), ("general + refine", None)):
            what = "the built-in general model" + ("" if count == 0 else ", refined")
            arms.append(Arm(name, what, studied("refine"), general=model, refine=count))
            shares[name] = 1.0
    if not arms:
        raise InputError("No preset goes with this generator; give another to --gan.")
    pieces = desk.run_arms(arms)
    lead = lead_of(desk)
    seconds = {arm.name: statistics.fmean(by_photo(pieces, arm.name, "seconds").values()) for arm in arms}
    quality = {arm.name: statistics.fmean(by_photo(pieces, arm.name, lead.key).values()) for arm in arms}
    scatter(
        desk.job.out / "speed.png",
        "seconds a photo",
        lead.title,
        {arm.name: (max(seconds[arm.name], 1e-2), quality[arm.name]) for arm in arms},
    )
    rows = tuple(
        (
            arm.name,
            round(seconds[arm.name], 1),
            round(_whole(pieces, arm.name, shares[arm.name], desk.job.scale_prior) / 60, 1),
            round(quality[arm.name], lead.digits),
        )
        for arm in arms
    )
    note = "The third column is what the whole schedule would take at that pace: seconds of the phases that were "
    note += "shortened over their share, and all others as they are."
    table = Table("", ("", "s a photo", "whole schedule, min", lead.title), rows, note)
    claims = []
    if {"quick", "rep"} <= by_preset.keys():
        quick, rep = by_preset["quick"], by_preset["rep"]
        change = difference(by_photo(pieces, rep, lead.key), by_photo(pieces, quick, lead.key))
        claims.append(
            Claim(
                f"{quick} of its iterations is better than {rep} of its own",
                "ours",
                lead.verdict(verdict_of(change, -1)),
                f"{quick} minus {rep}: {lead.told(change)}; seconds {seconds[quick]:.0f} against {seconds[rep]:.0f}",
            )
        )
    lower = "lower and further left is better" if lead.judges else "roughness alone says nothing of quality"
    captions = (("speed.png", f"Mean over photos; {lower}."),)
    return Outcome(
        (table, arms_table(desk, arms, pieces, "Scores")), tuple(claims), captions, tuple(notes), records(pieces)
    )


def _whole(pieces: list[Piece], arm: str, share: float, with_prior: bool) -> float:
    """Mean seconds of an arm's fits if the phases that were shortened to a share had their whole length."""
    found = []
    for piece in pieces:
        if piece.arm == arm:
            for phase, seconds in piece.result.provenance.seconds.items():
                short = phase.startswith("stage ") or (with_prior and phase == "prior")
                found.append(seconds / share if short else seconds)
    return sum(found) / sum(piece.arm == arm for piece in pieces)


STUDY = Study("speed", "What does a minute buy?", "ours", 3, "0", run)
