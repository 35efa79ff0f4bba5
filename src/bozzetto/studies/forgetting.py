"""What networks keep of photos that they were fitted to before."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bozzetto.config import Round
from bozzetto.errors import FitError, InputError
from bozzetto.method.joint import JointState
from bozzetto.presets import find_general_preset
from bozzetto.studies.compare import difference, verdict_of
from bozzetto.studies.desk import Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.joint import once, watched
from bozzetto.studies.networks import model_of, seen_scores
from bozzetto.studies.plots import matrices
from bozzetto.studies.scale import scaled_general
from bozzetto.studies.subjects import Subject

KEY = "mad_depth_deg"


def run(desk: Desk) -> Outcome:
    """The error on every photo after each fit of a chain, and after each epoch of one model for all."""
    if not desk.has_truth:
        raise InputError("The study `forgetting` needs photos whose true depth is known; leave --photos out.")
    if len(desk.subjects) < 2 or len(desk.seeds) > 1:
        raise InputError("The study `forgetting` follows one chain of photos; give 2 or more to --n, one to --seeds.")
    chained = once(desk.fits, {**_identity(desk), "what": "chain"}, lambda: _chain(desk))
    chain = chained["matrix"]
    for subject in desk.subjects:
        if subject.name in chained["failed"]:  # said where the chain was read from an earlier run too
            desk.leave_out(subject, FitError(chained["failed"][subject.name]))
    some = [subject for subject in desk.subjects if subject.name not in chained["failed"]]
    if len(some) < 2:
        raise InputError("Fewer than 2 photos of the study could be fitted; what was said above tells why.")
    joint = once(
        desk.fits,
        {**_identity(desk), "what": "joint", "photos": [subject.name for subject in some]},
        lambda: _joint(desk, some),
    )
    matrices(
        desk.job.out / "forgetting.png",
        [("one after the other", chain), ("one model for all", joint)],
        "photo",
        "fits, or epochs, done",
        "MAD, deg",
    )
    last = len(chain) - 1
    at_its_turn = {str(j): chain[j][j] for j in range(last)}
    at_the_end = {str(j): chain[last][j] for j in range(last)}
    next_one = {str(j): chain[j + 1][j] for j in range(last)}
    soon, late = difference(at_its_turn, next_one), difference(at_its_turn, at_the_end)
    together = difference(at_the_end, {str(j): joint[-1][j] for j in range(last)})
    claims = (
        Claim(
            "a model fitted to photo t forgets photo t-1",
            "Rep 5.8, figure 13",
            verdict_of(soon, 1),
            f"MAD after the next photo minus at its own turn: {soon.told(' deg')}; at the end: {late.told(' deg')}",
        ),
        Claim(
            "one model trained on all photos does not forget them",
            "Rep 5.8",
            verdict_of(together, -1),
            f"one model minus the chain's end, on all photos but the last: {together.told(' deg')}",
        ),
    )
    names = [subject.name for subject in some]
    header = ("", *names, "mean")
    tables = tuple(
        Table(title, header, tuple((f"after {what}", *_rounded(row)) for what, row in zip(when, matrix, strict=True)))
        for title, when, matrix in (
            ("The chain: MAD in degrees, without a fit to the photo", names, chain),
            ("One model for all photos", [f"epoch {i + 1}" for i in range(len(joint))], joint),
        )
    )
    captions = (("forgetting.png", "MAD of each photo (columns) as time goes on (downward); dark is bad."),)
    return Outcome(tables, claims, captions)


def _rounded(row: list[float]) -> tuple[float, ...]:
    return (*(round(value, 2) for value in row), round(statistics.fmean(row), 2))


def _identity(desk: Desk) -> dict[str, object]:
    fits = [desk.plan(subject, desk.base, desk.seeds[0]).settings() for subject in desk.subjects]
    return {"study": "forgetting", "version": 2, "fits": fits, "scale": desk.job.scale}


def _chain(desk: Desk) -> dict[str, Any]:
    """matrix[k][j]: error on photo j of the networks after photos 0 to k, one after the other; the first begins with
    its prior and every other one with the networks of the one before. failed: photos that have no line or column, each
    with the reason."""
    done: list[str] = []
    rows, failed = [], {}
    model, seed = None, desk.seeds[0]
    for subject in desk.subjects:
        try:
            job = desk.plan(subject, desk.base, seed, general=model)
            desk.fit(f"chain {len(done) + 1}", subject, seed, job, keep_networks=True)
        except (InputError, FitError) as error:  # of the photo; a full disk is none of its doing
            failed[subject.name] = str(error)
            desk.leave_out(subject, error)
            continue
        done.append(subject.name)
        model = model_of(desk, desk.networks_of(job), desk.base, len(done))
        rows.append(seen_scores(desk, desk.subjects, model, desk.base))
    return {"matrix": [_line(row, done) for row in rows], "failed": failed}


def _line(scores: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> list[float]:
    """The errors on these photos. Raises FitError where one of them could be fitted and not be scored."""
    for name in names:
        if name not in scores:
            raise FitError(f"{name} was fitted, but cannot be scored; choose other photos with --start and --n.")
    return [scores[name][KEY] for name in names]


def _joint(desk: Desk, subjects: list[Subject]) -> list[list[float]]:
    """[e][j]: error on photo j after e epochs of one training on all of them, as many epochs as photos."""
    config = scaled_general(find_general_preset("general-quick"), desk.job.scale, desk.job.scale_prior)
    part: Round = config.rounds[0]
    config = replace(config, rounds=(replace(part, epochs=len(subjects)),), batch=min(8, len(subjects)))

    def judge(state: JointState) -> list[float]:
        model = model_of(desk, state.nets.state(), config.fit, len(subjects))
        return _line(seen_scores(desk, subjects, model, config.fit), [subject.name for subject in subjects])

    rows = watched(desk, subjects, config, desk.seeds[0], judge)
    return rows[-len(subjects) :]  # without that after the prior


STUDY = Study("forgetting", "Do networks forget the photos before?", "Rep 5.8; figure 13", 5, "0", run)
