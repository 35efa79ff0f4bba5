"""Pan's four claims."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from bozzetto.bench.score import Shape, score_head
from bozzetto.errors import InputError
from bozzetto.studies.average import average_of, average_scores
from bozzetto.studies.compare import arms_table, by_photo, cell, difference, records, verdict_of
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table, Verdict
from bozzetto.studies.plots import dots
from bozzetto.types import Camera

SUPERVISED_DEG = 10.78  # MAD of a supervised network on the published face benchmark; other data than ours


def run(desk: Desk) -> Outcome:
    """The fit, its start (which steps 2 and 3 with the generator's pictures have not moved), the mean depth and the
    flat photo, in shape, new sides and new lights. And a pair of fits that differ in nothing but whether the samples
    of step 3 went through the generator: neither sees its turned pictures, which have no counterpart without it."""
    if not desk.has_truth:
        raise InputError("The study `claims` needs photos whose true depth is known; leave --photos out.")
    depth = average_of(desk)
    alone = tuple(replace(stage, project=0, factorise=0) for stage in desk.base.stages)
    unturned = replace(desk.base.turn, use=False)
    arms = [
        Arm("with the generator", "the base", desk.base),
        Arm(
            "without",
            "no pictures of the generator: the prior's shape with the albedo of step 1, no steps 2 and 3",
            replace(desk.base, stages=alone, turn=unturned),
        ),
        desk.arm(PROJECTED, "the base without turned pictures: samples are the generator's", turn=unturned),
        desk.arm(
            RENDERED,
            "the same, but step 3 sees the renderings as they are",
            turn=unturned,
            project=replace(desk.base.project, teacher="none"),
        ),
    ]
    pieces = desk.run_arms(arms)
    camera = Camera(desk.size)
    names = dict.fromkeys(piece.subject.name for piece in pieces)
    subjects = [subject for subject in desk.subjects if subject.name in names]
    mean_shape = average_scores(desk, depth)
    flat = {}
    for subject in subjects:
        truth = subject.truth
        assert truth is not None
        photo = truth.image[0]
        ones = torch.ones(1, desk.size, desk.size)
        toward = torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(3, desk.size, desk.size)
        shape = Shape(ones, ones, ones, torch.zeros(6), photo, toward, photo)
        flat[subject.name] = score_head(shape, truth, camera)
    fit = {key: by_photo(pieces, "with the generator", key) for key, *_ in SCORED}
    bare = {key: by_photo(pieces, "without", key) for key, *_ in SCORED}
    columns = {
        "with the generator": fit,
        "without": bare,
        "average depth": {key: {n: mean_shape[n].get(key, math.nan) for n in flat} for key, *_ in SCORED},
        "flat photo": {key: {n: s.get(key, math.nan) for n, s in flat.items()} for key, *_ in SCORED},
    }
    rows = tuple(
        (name, *(cell(list(found[key].values()), d) for key, _, d in SCORED)) for name, found in columns.items()
    )
    better = sum(fit[KEY][name] < bare[KEY][name] for name in fit[KEY].keys() & bare[KEY].keys())
    gain = difference(bare[KEY], fit[KEY])
    taught = difference(by_photo(pieces, RENDERED, KEY), by_photo(pieces, PROJECTED, KEY))
    precise = difference(columns["average depth"][KEY], fit[KEY])
    sides = difference(columns["flat photo"]["novel_psnr_db"], fit["novel_psnr_db"])
    lights = difference(columns["flat photo"]["relight_error"], fit["relight_error"])
    mean_mad = sum(fit[KEY].values()) / len(fit[KEY])
    found = (
        Claim(
            "shape is found without annotations",
            "Pan, claim 1",
            verdict_of(gain, -1),
            f"MAD with the generator minus without: {gain.told(' deg')}; better on {better} of {gain.n} photos",
        ),
        Claim(
            "the shapes are precise",
            "Pan, claim 2",
            verdict_of(precise, -1),
            f"MAD {mean_mad:.1f} deg, minus that of the average depth: {precise.told(' deg')} (a supervised network "
            f"on the published benchmark, other data: {SUPERVISED_DEG} deg)",
        ),
        Claim(
            "what is used is what the generator knows",
            "Pan, claim 3",
            verdict_of(taught, -1),
            "MAD after a step 3 that sees samples as the generator paints them, minus that after one that sees the "
            f"renderings they were made from, all else alike: {taught.told(' deg')}",
        ),
        Claim(
            "turning and relighting follow at once",
            "Pan, claim 4",
            _both(verdict_of(sides, 1), verdict_of(lights, -1)),
            f"new sides, PSNR minus that of the flat photo: {sides.told(' dB')}; relighting error minus that of the "
            f"photo as it is: {lights.told('', 4)}",
        ),
    )
    dots(
        desk.job.out / "claims.png",
        [
            (title, {name: [v for v in one[key].values() if math.isfinite(v)] for name, one in columns.items()})
            for key, title, _ in SCORED[1:3]
        ],
    )
    tables = (
        Table("", ("", *(title for _, title, _ in SCORED)), rows, "Mean ± standard deviation over photos."),
        arms_table(desk, arms, pieces, "The fits"),
    )
    captions = (("claims.png", "Each photo a ring; mean and standard deviation over photos in black."),)
    return Outcome(tables, found, captions, pieces=records(pieces))


def _both(first: Verdict, second: Verdict) -> Verdict:
    """A claim of two halves."""
    return first if first == second else "does not hold" if "does not hold" in (first, second) else "undecided"


PROJECTED, RENDERED = "projected samples", "renderings"
KEY = "mad_depth_deg"
SCORED = (
    ("side_x100", "SIDE x100", 2),
    ("mad_depth_deg", "MAD, deg", 1),
    ("novel_psnr_db", "new sides, dB", 1),
    ("relight_error", "relighting error", 3),
)

STUDY = Study("claims", "Do Pan's four claims hold?", "Rep 2; Pan", 8, "0", run)
