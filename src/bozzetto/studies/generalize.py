"""One model for photos that it has seen and has not seen."""

from __future__ import annotations

import statistics

from bozzetto.bench.datasets import HeadTruth, head_files, load_folder_heads, load_head, load_packed_heads
from bozzetto.bench.run_heads import packed_heads, training_split
from bozzetto.errors import InputError
from bozzetto.presets import find_general_preset
from bozzetto.studies.average import average_of, average_scores
from bozzetto.studies.compare import by_photo, cell, difference, records, verdict_of
from bozzetto.studies.desk import Arm, Desk
from bozzetto.studies.job import Claim, Outcome, Study, Table
from bozzetto.studies.joint import trained
from bozzetto.studies.networks import seen_scores
from bozzetto.studies.plots import curves
from bozzetto.studies.scale import scaled_general
from bozzetto.studies.subjects import Subject

SIZES = (10, 30, 100, 300)
SEEN = 8  # photos of the training that are scored
KEY = "mad_depth_deg"


def run(desk: Desk) -> Outcome:
    """Train on more and more photos; score on photos seen and not seen, beside fits of each photo."""
    if not desk.has_truth:
        raise InputError("The study `generalize` needs photos whose true depth is known; leave --photos out.")
    depth = average_of(desk)
    pool = _pool(desk)
    if len(pool) < SIZES[0]:
        raise InputError(f"{len(pool)} photos are too few to train on; {SIZES[0]} are needed.")
    config = scaled_general(find_general_preset("general-quick"), desk.job.scale, desk.job.scale_prior)
    seen: dict[int, dict[str, float]] = {}
    unseen: dict[int, dict[str, float]] = {}
    for count in (size for size in SIZES if size <= len(pool)):
        model = trained(desk, pool[:count], config, desk.seeds[0])
        seen[count], unseen[count] = (
            {name: scores[KEY] for name, scores in seen_scores(desk, some, model, config.fit).items()}
            for some in (pool[:SEEN], desk.subjects)
        )
        if not seen[count] or not unseen[count]:
            raise InputError("No photo of the study could be scored; what was said above tells why.")
        desk.told(
            f"{count} photos: MAD {statistics.fmean(seen[count].values()):.1f} on seen, "
            f"{statistics.fmean(unseen[count].values()):.1f} on unseen photos"
        )
    fits = desk.run_arms([Arm("instance", "a fit of each photo", desk.base)])
    instance = by_photo(fits, "instance", KEY)
    average = {name: scores[KEY] for name, scores in average_scores(desk, depth).items()}
    lines = {
        name: [(float(n), statistics.fmean(v.values()), _sd(v)) for n, v in found.items()]
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
    note = f"MAD in degrees, mean ± standard deviation; {SEEN} photos seen, {len(desk.subjects)} unseen. Steps 2 and 3 "
    note += "have as many iterations for every size, step 0 goes over all photos as often; the models' seed is "
    note += f"{desk.seeds[0]}."
    table = Table("", ("photos trained on", "seen", "unseen"), tuple(rows), note)
    captions = (
        (
            "generalize.png",
            "Mean over photos; bars are standard deviations over photos. The lines without bars do not depend on the "
            "number of photos.",
        ),
    )
    left = [str(size) for size in SIZES if size not in seen]
    notes = (f"{len(pool)} photos to train on were at hand: not tested are {', '.join(left)}.",) if left else ()
    return Outcome((table,), claims, captions, notes, records(fits))


def _sd(values: dict[str, float]) -> float:
    return statistics.stdev(values.values()) if len(values) > 1 else 0.0


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


STUDY = Study("generalize", "Does one model reach photos that it has not seen?", "Rep 4.2, 5.9; Table 3", 6, "0", run)
