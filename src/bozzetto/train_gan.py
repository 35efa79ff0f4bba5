"""Train a generator on a folder or tar of pictures: data, networks, checkpoints, samples, distance, log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from bozzetto.disk import clear, leftovers
from bozzetto.errors import CheckpointError, InputError, OutputError
from bozzetto.export.files import check_writable, write_text
from bozzetto.export.images import grid, write_png
from bozzetto.gan.checkpoint import read_metadata, save_safetensors
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.training.images import load_images
from bozzetto.gan.training.ranges import Range, check_ranges, check_train
from bozzetto.gan.training.shapes import spec_for
from bozzetto.gan.training.trainer import TrainConfig, Trainer
from bozzetto.gan.training.warm import warm_start
from bozzetto.gan.zoo import load_gan
from bozzetto.gan_distance import DISTANCE, DISTANCE_SCALE, LEAST_SIZE, draw_samples, measure_distance
from bozzetto.keep import Interrupted, Interrupts
from bozzetto.processes import mean, place
from bozzetto.results.partial import STATE, Partial, held, open_partial
from bozzetto.seeds import check_seed


@dataclass(frozen=True)
class Job:
    """One training. Everything but `kimg`, the device and the saving belongs to its identity when it is resumed."""

    source: Path  # folder or tar of pictures
    out: Path  # .safetensors; samples, log and state go to the folder beside it that ends in .training
    size: int = 64  # px
    kimg: float = 1000.0  # thousands of pictures to see in all
    start: str | None = None  # a generator to start from; None: from scratch
    width: float = 1.0  # times the usual channel counts
    w_dim: int = 512  # width of z and w; 512 as the published generators
    mapping_layers: int = 8
    limit: int | None = None  # pictures of the source at most
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str | None = None  # what the generator is called; the file's name if not given
    category: str = "unknown"  # what its pictures show
    licence: str = "unknown"  # of the weights, which depends on the pictures
    save_every: float = 20.0  # thousands of pictures between two checkpoints and sample grids
    distance_every: float = 0.0  # thousands of pictures between two measurements of the distance; 0: at the end only
    distance_pictures: int = 2000  # real ones and generated ones each; 0: never measured
    resume: bool = False
    overwrite: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@runtime_checkable
class TrainProgress(Protocol):
    """Hears how a training goes."""

    def on_note(self, text: str) -> None: ...

    def on_step(self, images: int, total: int, terms: Mapping[str, float], images_per_s: float) -> None: ...


def working_folder(out: Path) -> Path:
    """Where a training keeps its state, log and sample grids."""
    return out.with_suffix(".training")


def train(job: Job, progress: TrainProgress) -> Path:
    """Train until `kimg`, or go on with a training; returns the generator's file, which each checkpoint renews.

    Raises:
        InputError: the source has no pictures, or the settings make no sense.
        OutputError: the file is there and neither --resume nor --overwrite is said, or cannot be written.
        Interrupted: after Ctrl-C; the state is saved first.
    """
    _check(job)
    chief = place()[0] == 0
    images = load_images(job.source, job.size, job.limit, on_bad=progress.on_note if chief else None)
    trainer = Trainer(spec_for(job.size, job.width, job.w_dim, job.mapping_layers), job.train, job.device)
    partial = open_partial(working_folder(job.out), _identity(job), job.resume, job.overwrite) if chief else None
    with held(partial):
        return _train(job, trainer, partial, images, progress)


def _train(
    job: Job, trainer: Trainer, partial: Partial | None, images: UInt8[Tensor, "n 3 s s"], progress: TrainProgress
) -> Path:
    if partial is not None:  # of a training that was killed while it wrote
        clear([one for suffix in (".safetensors", ".png", ".md") for one in leftovers(job.out.with_suffix(suffix))])
    log = _restore(trainer, job, partial, progress)
    total = math.ceil(job.kimg * 1000 / job.train.batch)
    if trainer.steps >= total and _is_finished(job, trainer, len(images), log):
        progress.on_note(f"The training has seen {trainer.images_seen} pictures already; ask for more with --kimg.")
        return job.out
    run = _Run(job, trainer, partial, images, log, progress)
    folder = partial.folder if partial else working_folder(job.out)
    if job.distance_pictures > 0 and job.size < LEAST_SIZE:
        progress.on_note(f"No distance is measured: its network needs pictures of {LEAST_SIZE} px at least.")
    message = f"Stopped. {folder} keeps the training; go on with --resume."
    with Interrupts(message) as interrupts:
        interrupts.patient = True
        while trainer.steps < total:
            run.step(total)
            # All processes stop after the same step, or one would wait for the others for ever.
            if mean(torch.tensor(float(interrupts.asked is not None), device=job.device)) > 0:
                run.keep()
                interrupts.raise_if_asked()
                raise Interrupted(message)
        run.finish()
    return job.out


class _Run:
    """The loop's body: a step, and what is due after it."""

    def __init__(
        self,
        job: Job,
        trainer: Trainer,
        partial: Partial | None,
        images: UInt8[Tensor, "n 3 s s"],
        log: list[dict[str, Any]],
        progress: TrainProgress,
    ) -> None:
        self.job, self.trainer, self.partial, self.images = job, trainer, partial, images
        self.log, self.progress = log, progress
        self.sums: dict[str, list[float]] = {}
        self.since = time.monotonic()
        self.count = 0
        self.rate = 0.0

    def step(self, total: int) -> None:
        terms = self.trainer.step(self.images)
        self.count += 1
        for name, value in terms.items():
            self.sums.setdefault(name, []).append(value)
        seen, batch = self.trainer.images_seen, self.job.train.batch
        self.rate = self.count * batch / (time.monotonic() - self.since)
        self.progress.on_step(seen, total * batch, terms, self.rate)
        if _due(seen, batch, self.job.distance_every):
            self._write_line()
            self.measure()
        if _due(seen, batch, self.job.save_every):
            self.keep()

    def _write_line(self) -> None:
        """Means since the last line."""
        if not self.sums:
            return
        means = {name: sum(values) / len(values) for name, values in self.sums.items()}
        line = {"done": self.trainer.steps, "kimg": self.trainer.images_seen / 1000, "images_per_s": self.rate, **means}
        self.log.append({key: value if isinstance(value, int) else round(value, 5) for key, value in line.items()})
        self.sums, self.count, self.since = {}, 0, time.monotonic()

    def measure(self) -> None:
        """The distance of random pictures to real ones, as a line of the log."""
        if self.job.distance_pictures == 0 or self.partial is None or self.job.size < LEAST_SIZE:
            return
        if any(DISTANCE in line and line["done"] == self.trainer.steps for line in self.log):
            return  # measured already, by this run or by one that ended before its card was written
        found = measure_distance(self.trainer.average, self.images, self.job.distance_pictures, self.job.train.seed)
        if found is not None:
            self.log.append({"done": self.trainer.steps, "kimg": self.trainer.images_seen / 1000, **found})
        self.since = time.monotonic()

    def keep(self) -> None:
        """Save log, state, generator and samples, each whole or not at all; only the first process writes."""
        self._write_line()
        partial, job, trainer = self.partial, self.job, self.trainer
        if partial is None:
            return
        partial.save_log(self.log)
        partial.save(STATE, trainer.tensors(), {"done": trainer.steps})
        partial.save_progress({"done": trainer.steps, "images": trainer.images_seen})
        save_safetensors(job.out, trainer.average, trainer.discriminator, facts_of(job, trainer))
        write_png(
            grid(draw_samples(trainer.average, job.train.seed)),
            partial.folder / f"samples_{trainer.images_seen // 1000:05d}k.png",
        )
        self.since, self.count = time.monotonic(), 0

    def finish(self) -> None:
        self.keep()  # before anything else that can fail
        self.measure()
        if self.partial is not None:
            self.partial.save_log(self.log)
            write_png(grid(draw_samples(self.trainer.average, self.job.train.seed)), self.job.out.with_suffix(".png"))
            write_text(self.job.out.with_suffix(".md"), card(self.job, self.trainer, len(self.images), self.log))


def _is_finished(job: Job, trainer: Trainer, pictures: int, log: list[dict[str, Any]]) -> bool:
    """Whether the generator's file and its card, which is written last, are of the training's last step."""
    try:
        said = job.out.with_suffix(".md").read_text("utf-8")
        return read_metadata(job.out).get("images_seen") == str(trainer.images_seen) and said == card(
            job, trainer, pictures, log
        )
    except (OSError, ValueError, CheckpointError):
        return False


def _due(seen: int, batch: int, every_kimg: float) -> bool:
    """True for the step that crosses a multiple of the interval."""
    every = every_kimg * 1000
    return every > 0 and seen // every != (seen - batch) // every


def _check(job: Job) -> None:
    if job.out.suffix != ".safetensors":
        raise InputError(f"The generator's file must end in .safetensors, not {job.out.name}.")
    check_ranges(
        (
            Range("kimg", job.kimg, 0, 1e9, open=True),
            Range("width", job.width, 0, open=True),
            Range("w_dim", job.w_dim, 1, 4096),
            Range("mapping_layers", job.mapping_layers, 1, 64),
            Range("limit", job.limit, 1, 10**9),
            Range("save_every", job.save_every, 0, open=True),
            Range("distance_every", job.distance_every, 0),
            Range("distance_pictures", job.distance_pictures, 0),
        )
    )
    if job.distance_pictures == 1:
        raise InputError("distance_pictures must be 2 at least, or 0 for no distance; one picture has no spread.")
    check_train(job.train)
    check_seed(job.train.seed)
    check_writable(job.out)
    if job.out.exists() and not (job.resume or job.overwrite):
        raise OutputError(f"{job.out} exists; go on with --resume or start over with --overwrite.")


def _identity(job: Job) -> dict[str, Any]:
    """What must agree for a training to be gone on with."""
    other = ("out", "kimg", "resume", "overwrite", "device", "save_every", "distance_every", "distance_pictures")
    kept = {f.name: getattr(job, f.name) for f in fields(job) if f.name not in other}
    record: dict[str, Any] = json.loads(json.dumps(kept | {"train": asdict(job.train)}, default=str))
    return record


def _restore(trainer: Trainer, job: Job, partial: Partial | None, progress: TrainProgress) -> list[dict[str, Any]]:
    """Networks from the working folder, or from the generator to start from; in every process alike."""
    source = partial or Partial(working_folder(job.out), {})
    found = source.load(STATE) if job.resume else None
    if found is not None:
        try:
            trainer.restore(found[0])
        except (KeyError, RuntimeError) as error:  # such as of a version whose networks had other widths
            raise OutputError(
                f"The training beside {job.out} is of networks of another shape; start over with --overwrite."
            ) from error
        return source.load_log(trainer.steps) if partial else []
    if job.start is not None:
        gan = load_gan(job.start)
        if not isinstance(gan.generator, Generator):
            raise InputError(f"A training can start from a StyleGAN2, and '{job.start}' is {gan.info.kind}.")
        copied = warm_start(trainer.generator, gan.generator)
        if gan.discriminator is not None:
            copied += warm_start(trainer.discriminator, gan.discriminator)
        trainer.restart_average()
        progress.on_note(f"{copied} layers start from '{job.start}'.")
    return []


def facts_of(job: Job, trainer: Trainer) -> dict[str, str]:
    """What the generator's file says of itself."""
    return {
        "name": job.name or job.out.stem,
        "category": job.category,
        "licence": job.licence,
        "images_seen": str(trainer.images_seen),
        "started_from": job.start or "nothing",
    }


def card(job: Job, trainer: Trainer, pictures: int, log: list[dict[str, Any]]) -> str:
    """A model card in Markdown."""
    distances = [line for line in log if DISTANCE in line]
    counts = [sum(p.numel() for p in net.parameters()) for net in (trainer.average, trainer.discriminator)]
    table = "".join(f"| {line['kimg']:.0f} | {line[DISTANCE]:.2f} |\n" for line in distances)
    shown = f"\n| thousand pictures | {DISTANCE} |\n|---|---|\n{table}" if distances else ""
    start = f"the generator `{job.start}`" if job.start else "random weights"
    return (
        f"# {job.name or job.out.stem}\n\n"
        f"StyleGAN2, {job.size} px, category: {job.category}, licence: {job.licence}.\n\n"
        f"- Trained on {pictures} pictures, {trainer.images_seen} seen, from {start}.\n"
        f"- Generator {counts[0]:,} parameters, discriminator {counts[1]:,}; z and w {job.w_dim} wide, "
        f"{job.mapping_layers} mapping layers.\n"
        f"- Random shift {job.train.shift:g} of the side, mirrored: {'yes' if job.train.mirror else 'no'}, adaptive "
        f"augmentation: {f'at {trainer.p:.2f} in the end' if job.train.adaptive else 'no'}.\n"
        f"- {DISTANCE}: Frechet distance times {DISTANCE_SCALE:g} in features of the stlpips network; not FID.\n{shown}"
    )
