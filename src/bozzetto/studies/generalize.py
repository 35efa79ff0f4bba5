"""One model for photos that it has seen and has not seen."""

from __future__ import annotations

import statistics

from bozzetto.bench.datasets import HeadTruth, head_files, load_folder_heads, load_head, load_packed_heads
from bozzetto.bench.run_heads import HeadsRun, load_average, packed_heads, training_split
from bozzetto.bench.score import flat_shape, score_head
from bozzetto.errors import InputError
from bozzetto.presets import find_general_preset
from bozzetto.studies.compare import by_photo, cell, difference, records, verdict_of
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.joint import trained
from bozzetto.studies.networks import seen_scores
from bozzetto.studies.plots import curves
from bozzetto.studies.scale import scaled_general
from bozzetto.studies.subjects import Subject
from bozzetto.types import Camera

SIZES = (10, 30, 100, 300)
SEEN = 8  # photos of the training that are scored
KEY = "mad_depth_deg"


def run(desk: Desk) -> Outcome:
    """Train on more and more photos; score on photos seen and not seen, beside fits of each photo."""
    if not desk.has_truth:
        raise InputError("The study `generalize` needs photos whose true depth is known; leave --photos out.")
    pool = _pool(desk)
    config = scaled_general(find_general_preset("general-quick"), desk.job.scale, desk.job.scale_prior)
    seen: dict[int, dict[str, float]] = {}
    unseen: dict[int, dict[str, float]] = {}
    for count in (size for size in SIZES if size <= len(pool)):
        model = trained(desk, pool[:count], config, desk.seeds[0])
        seen[count] = {s.name: seen_scores(desk, s, model, config.fit)[KEY] for s in pool[:SEEN]}
        unseen[count] = {s.name: seen_scores(desk, s, model, config.fit)[KEY] for s in desk.subjects}
        desk.told(
            f"{count} photos: MAD {statistics.fmean(seen[count].values()):.1f} on seen, "
            f"{statistics.fmean(unseen[count].values()):.1f} on unseen photos"
        )
    if not seen:
        raise InputError(f"{len(pool)} photos are too few to train on; {SIZES[0]} are needed.")
    fits = desk.run_arms([Arm("instance", "a fit of each photo", desk.base)])
    instance, average = by_photo(fits, "instance", KEY), _average(desk)
    lines = {
        name: [(float(n), statistics.fmean(v.values()), statistics.stdev(v.values())) for n, v in found.items()]
        for name, found in (("seen", seen), ("unseen", unseen))
    }
    for name, values in (("fit of each photo", instance), ("average depth", average)):
        lines[name] = [(float(n), statistics.fmean(values.values()), 0.0) for n in seen]
    curves(desk.job.out / "generalize.png", "photos trained on", [("MAD, deg", lines)], log_x=True)
    rows = [(str(n), cell(list(seen[n].values()), 1), cell(list(unseen[n].values()), 1)) for n in seen]
    rows += [
        ("fit of each photo", None, cell(list(instance.values()), 1)),
        ("average depth", None, cell(list(average.values()), 1)),
    ]
    most, least = max(unseen), min(unseen)
    against, more = difference(instance, unseen[most]), difference(unseen[least], unseen[most])
    blind = difference(average, unseen[most])
    claims = (
        Claim(
            "one general model reaches photos that it has not seen",
            "Rep 4.2, 5.9",
            verdict_of(blind, -1),
            f"{most} photos, unseen, minus the average depth: {blind.told(' deg')}; "
            f"minus a fit of each photo: {against.told(' deg')}",
        ),
        Claim(
            "more photos make a better general model",
            "Rep 5.9",
            verdict_of(more, -1) if most != least else "not tested",
            f"unseen, {most} minus {least} photos: {more.told(' deg')}",
        ),
    )
    note = f"MAD in degrees, mean ± standard deviation; {SEEN} photos seen, {len(desk.subjects)} unseen. The number of "
    note += "iterations is the same for every size."
    table = Table("", ("photos trained on", "seen", "unseen"), tuple(rows), note)
    captions = (("generalize.png", "Mean over photos; bars are standard deviations over photos."),)
    return Outcome((table,), claims, captions, pieces=records(fits))


def _pool(desk: Desk) -> list[Subject]:
    """Photos to train on, none of them among the study's own."""
    folder = desk.job.train_heads
    if folder is not None:
        split = training_split(folder)
        count = min(max(SIZES), len(head_files(split)))
        heads = [load_head(split, i) for i in range(count)]
        return [_subject(head, f"trained {i}") for i, head in enumerate(heads)]
    source = desk.job.test_heads or packed_heads(desk.size)
    packed = load_folder_heads(source) if source.is_dir() else load_packed_heads(source)
    mine = {subject.name for subject in desk.subjects}
    others = [(i, f"head {i}") for i in reversed(range(len(packed)))]
    return [_subject(packed.take(i), name) for i, name in others if name not in mine]


def _subject(head: HeadTruth, name: str) -> Subject:
    return Subject(name, head.image[0], head)


def _average(desk: Desk) -> dict[str, float]:
    """Scores of the mean depth of training heads."""
    depth = load_average(HeadsRun(train_heads=desk.job.train_heads, test_heads=desk.job.test_heads), desk.size, 2000)
    found = {}
    for subject in desk.subjects:
        assert subject.truth is not None
        shape = flat_shape(depth, subject.truth.image[0])
        found[subject.name] = score_head(shape, subject.truth, Camera(desk.size))[KEY]
    return found


STUDY = Study("generalize", "Does one model reach photos that it has not seen?", "Rep 4.2, 5.9; Table 3", 6, "0", run)
