"""Joint trainings of a study, each made once and kept beside the fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bozzetto.config import GeneralConfig
from bozzetto.errors import OutputError
from bozzetto.export.files import make_folder, write_text
from bozzetto.export.images import picture, write_png
from bozzetto.gather import Gatherer
from bozzetto.general_job import GeneralJob, Source, plans_of
from bozzetto.general_model import GeneralModel, load_general
from bozzetto.inputs import digest
from bozzetto.method.joint import JointEvent, JointFit, JointState, new_joint_state
from bozzetto.results.partial import Partial
from bozzetto.results.provenance import plain
from bozzetto.studies.desk import Desk
from bozzetto.studies.subjects import Subject
from bozzetto.train_general import train


@dataclass(frozen=True)
class Told:
    """A `GeneralProgress` that says little."""

    say: Callable[[str], None]

    def on_note(self, text: str) -> None:
        self.say(text)

    def on_gathered(self, what: str, done: int, total: int) -> None:
        self.say(f"{what}: {done} of {total} ready")

    def on_iteration(self, event: JointEvent) -> None:
        if event.iteration == event.phase.step.iterations:
            self.say(f"{event.phase.title}: {event.done} of {event.total} iterations")

    def on_validation(self, epoch: int, scores: Mapping[str, float]) -> None:
        return None


def key_of(settings: Mapping[str, Any]) -> str:
    """A name for what is decided by some settings."""
    return hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()[:20]


def once(folder: Path, settings: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """A JSON value that was made before from these settings, or is made now. Raises OutputError."""
    path = folder / f"{key_of(settings)}.json"
    if path.exists():
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} cannot be read ({error}); delete it and run again.") from error
    value = plain(make())
    make_folder(path.parent)
    write_text(path, json.dumps(value) + "\n")
    return value


def trained(desk: Desk, photos: Sequence[Subject], config: GeneralConfig, seed: int) -> GeneralModel:
    """One model for these photos; a training that was stopped goes on.

    Raises what `train_general.train` does.
    """
    images, mask = [subject.photo for subject in photos], mask_together(desk)
    alike: Any = plain(replace(config, fit=replace(config.fit, texture="network")))  # a training does not ask for it
    del alike["fit"]["texture_px"]  # nor for this, which trainings from before know nothing of
    settings = {"photos": [_identity(image) for image in images], "config": alike, "seed": seed}
    settings |= {"generator": desk.gan.info.sha256, "mask": mask, "general": 3}
    settings |= {"category": desk.job.category, "inversion": desk.job.inversion}
    out = desk.fits / f"general_{key_of(settings)}.safetensors"
    if not out.exists():
        folder = out.with_suffix(".photos")
        make_folder(folder)
        for i, image in enumerate(images):
            if not isinstance(image, Path):
                write_png(picture(image), folder / f"{i:05d}.png")
        job = GeneralJob(
            out=out,
            source=folder,
            gan=desk.gan,
            config=config,
            photos=len(images),
            held=0,
            mask=mask,
            inversion=desk.job.inversion,
            category=desk.job.category or "heads",
            seed=seed,
            device=desk.device,
            resume=True,
        )
        train(job, Told(desk.told))
    return load_general(out, desk.device)


def mask_together(desk: Desk) -> str:
    """How a joint training cuts its photos out: as --mask says, or by the program where that is the true masks, which a
    joint training has no place for."""
    return "auto" if desk.job.mask == "truth" else desk.job.mask


def _identity(image: Any) -> str:
    return str(image) if isinstance(image, Path) else digest(image)


class Judging:
    """A `JointWatcher` that scores the networks after every epoch."""

    def __init__(self, say: Callable[[str], None], judge: Callable[[JointState], list[float]]) -> None:
        self.told, self.judge = Told(say), judge
        self.rows: list[list[float]] = []

    def on_iteration(self, event: JointEvent) -> None:
        self.told.on_iteration(event)

    def on_state(self, state: JointState) -> None:
        return None

    def on_overwriting(self, state: JointState) -> None:
        return None

    def validate(self, state: JointState, epoch: int) -> float | None:
        self.rows.append(self.judge(state))
        return None


def watched(
    desk: Desk, photos: Sequence[Subject], config: GeneralConfig, seed: int, judge: Callable[[JointState], list[float]]
) -> list[list[float]]:
    """A joint training from fresh networks, and what the judge says after each of its epochs."""
    import torch

    images = torch.stack([subject.photo for subject in photos if not isinstance(subject.photo, Path)])
    mask = mask_together(desk)
    job = GeneralJob(
        out=desk.fits / "watched",
        gan=desk.gan,
        config=config,
        mask=mask,
        inversion=desk.job.inversion,
        category=desk.job.category or "heads",
        seed=seed,
    )
    names = [subject.name for subject in photos]
    plans = plans_of(job, config, desk.gan, Source(images), names)
    gathered = {
        "photos": [digest(image) for image in images],
        "fit": config.fit,
        "mask": mask,
        "generator": desk.gan.info.sha256,
        "category": job.category,
        "inversion": job.inversion,
        "seed": seed,
    }
    place = desk.fits / f"gathered_{key_of(gathered)}"
    make_folder(place)
    problem = Gatherer(plans[0], Partial(place, {}), Told(desk.told).on_gathered, desk.told).gather(plans).problem
    fit, state = JointFit(problem, config, seed), new_joint_state(problem, seed)
    watcher = Judging(desk.told, judge)
    fit.run(state, watcher)
    return watcher.rows
