"""Train the general model M* of a generator: photos to ingredients, the joint training, checks on others, its file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto import processes
from bozzetto.bench.datasets import HeadTruth, head_files, load_head, load_packed_heads
from bozzetto.bench.truth import truth_of
from bozzetto.config import GeneralConfig
from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import check_writable, write_text
from bozzetto.gan.generator import Gan
from bozzetto.gan.training.images import load_images
from bozzetto.gather import Gatherer
from bozzetto.general_model import GeneralFacts, save_general
from bozzetto.geometry.render import render
from bozzetto.ingredients import Plan
from bozzetto.inputs import find_gan
from bozzetto.keep import Interrupted, Interrupts
from bozzetto.losses.photometric import photometric
from bozzetto.method.joint import JointEvent, JointFit, JointState, new_joint_state
from bozzetto.method.problem import Problem, predict
from bozzetto.metrics.truth import score_truth
from bozzetto.pipeline import plan
from bozzetto.presets import find_general_preset
from bozzetto.processes import place
from bozzetto.results.assemble import normals_to_view
from bozzetto.results.partial import STATE, Partial, held, open_partial
from bozzetto.results.provenance import plain

SAVE_EVERY_S = 60.0
MEAN_OF = 20  # iterations a line of the log sums up


@dataclass(frozen=True)
class GeneralJob:
    """One joint training."""

    out: Path  # .safetensors; ingredients, samples, log and state go to the folder beside it that ends in .training
    source: Path | None = None  # folder or tar of photos, framed as the generator's; None: the generator's own pictures
    gan: str | Gan = "heads"
    preset: str = "general-quick"
    config: GeneralConfig | None = None  # instead of the preset's
    photos: int = 192  # of the source at most; or how many pictures the generator draws
    psi: float = 0.85  # truncation of the pictures that the generator draws
    validate: Path | None = None  # rendered heads with true depth: a folder of make-heads, or packed ones
    held: int = 16  # photos that are validated on; without --validate they are taken from the others
    mask: str = "auto"
    prior: str | None = None
    category: str | None = None
    name: str | None = None  # what the model is called; the file's name if not given
    licence: str = "unknown"  # of the model
    keep_offset: bool = True  # store E too
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resume: bool = False
    overwrite: bool = False

    @property
    def settings(self) -> GeneralConfig:
        """What is trained, the prior's shape included."""
        config = self.config or find_general_preset(self.preset)
        if self.prior is None:
            return config
        return replace(config, fit=replace(config.fit, prior=replace(config.fit.prior, shape=self.prior)))


@runtime_checkable
class GeneralProgress(Protocol):
    """Hears how a training goes."""

    def on_note(self, text: str) -> None: ...

    def on_gathered(self, what: str, done: int, total: int) -> None: ...

    def on_iteration(self, event: JointEvent) -> None: ...

    def on_validation(self, epoch: int, scores: Mapping[str, float]) -> None: ...


def working_folder(out: Path) -> Path:
    """Where a training keeps what it takes to go on."""
    return out.with_suffix(".training")


def train(job: GeneralJob, progress: GeneralProgress) -> Path:
    """Train to the end of the schedule, or until validation no longer improves; returns the model's file.

    Raises:
        InputError, CheckpointError, MissingExtraError: something given cannot be used.
        OutputError: the file is there and neither --resume nor --overwrite is said, or cannot be written.
        FitError: the numbers went wrong.
        Interrupted: after Ctrl-C; the state is saved first.
    """
    config = job.settings
    _check(job, config)
    chief = place()[0] == 0
    gan = find_gan(job.gan, job.device, config.fit.compute.gan_precision)
    photos, others, names = _photos(job, gan, progress)
    folder = working_folder(job.out)
    settings = _identity(job, config, gan, photos)
    partial = open_partial(folder, settings, job.resume, job.overwrite) if chief else None
    processes.wait()
    message = f"Stopped. {folder} keeps the training; go on with --resume."
    with held(partial), Interrupts(message) as interrupts:
        problem = _gather(job, config, gan, photos, names, partial, progress)
        judge = _judge(job, config, gan, others, progress)
        fit = JointFit(problem, config, job.seed, folder)
        state = new_joint_state(problem, job.seed)
        watch = _Watch(partial, interrupts, progress, judge, message)
        watch.restore(state, problem, folder, job.resume)
        interrupts.patient = True
        nets = fit.run(state, watch)
        interrupts.patient = False
        if chief:
            watch.keep(state)
            facts = _facts(job, config, gan, problem)
            save_general(job.out, nets, facts)
            write_text(job.out.with_suffix(".md"), card(facts, config, watch.log))
    return job.out


# -- photos ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """Photos with their latents, where these are known."""

    images: Float[Tensor, "n 3 s s"]  # [0, 1]
    latents: Float[Tensor, "n l d"] | None = None


def _photos(job: GeneralJob, gan: Gan, progress: GeneralProgress) -> tuple[_Source, _Source, list[str]]:
    """Photos to train on, photos held out for validation (none where there is a truth), and the first ones' names."""
    held = 0 if job.validate is not None else job.held
    if job.source is None:
        with torch.no_grad():
            w = gan.w_from_z(gan.z_samples(job.photos + held, job.seed), job.psi)
            images = [(gan.image_from_w(part) / 2 + 0.5).clamp(0, 1).cpu() for part in w.split(32)]
        whole = _Source(torch.cat(images), w.cpu())
        names = [f"picture {i}" for i in range(job.photos)]
    else:
        chief = place()[0] == 0
        on_bad = progress.on_note if chief else None
        pictures = load_images(job.source, gan.info.resolution, job.photos + held, on_bad=on_bad)
        whole = _Source(pictures.float() / 255)
        names = [f"photo {i}" for i in range(len(pictures) - held)]
    if len(names) < 2:
        raise InputError(f"{len(names)} photos are too few for a general model; give more, or hold out fewer.")
    cut = len(names)
    latents = (None, None) if whole.latents is None else (whole.latents[:cut], whole.latents[cut:])
    return _Source(whole.images[:cut], latents[0]), _Source(whole.images[cut:], latents[1]), names


def _plans(job: GeneralJob, config: GeneralConfig, gan: Gan, photos: _Source, names: Sequence[str]) -> list[Plan]:
    first: Plan | None = None
    plans = []
    for i, name in enumerate(names):
        latent = None if photos.latents is None else photos.latents[i]
        made = plan(
            photos.images[i],
            gan,
            mask=job.mask,
            latent=latent,
            seed=job.seed,
            config=config.fit,
            category=job.category,
            crop="none",
        )
        first = first or made
        plans.append(replace(made, gan=first.gan, picture=replace(made.picture, name=name)))
    return plans


def _gather(
    job: GeneralJob,
    config: GeneralConfig,
    gan: Gan,
    photos: _Source,
    names: Sequence[str],
    partial: Partial | None,
    progress: GeneralProgress,
) -> Problem:
    """The problem of all photos; the first process finds it, the others read what it kept."""
    plans = _plans(job, config, gan, photos, names)
    for turn in (partial is not None, partial is None):
        if turn:
            kept = partial or Partial(working_folder(job.out), {})
            tell = progress.on_gathered if partial is not None else lambda what, done, total: None
            found = Gatherer(plans[0], kept, tell, progress.on_note).gather(plans)
        processes.wait()
    if partial is not None:
        for name, error in found.failed:
            progress.on_note(f"{name} is left out: {error}")
    return found.problem


# -- validation --------------------------------------------------------------------------------------------------------


class _Judge:
    """Scores of networks on photos that they do not learn from; "score" is what decides, lower is better."""

    def __init__(self, problem: Problem, heads: HeadTruth | None) -> None:
        self.problem, self.heads = problem, heads

    @torch.no_grad()
    def __call__(self, state: JointState) -> dict[str, float]:
        problem = self.problem
        factors = predict(state.nets, problem)
        seen = render(factors, problem.camera, problem.depth_range)
        error = photometric(seen.image, problem.photo, problem.mask * seen.mask).mean()
        found = {"photo_l1": float(error)}
        if self.heads is None:
            return {"score": found["photo_l1"], **found}
        normal = normals_to_view(seen.normal, seen.grid, factors.view)
        rows = [
            score_truth(
                seen.depth[i].cpu(), normal[i].cpu(), seen.mask[i].cpu(), truth_of(self.heads, i), problem.camera
            )
            for i in range(len(self.heads))
        ]
        for name in ("side_x100", "mad_mesh_deg"):
            found[name] = sum(row[name] for row in rows) / len(rows)
        return {"score": found["mad_mesh_deg"], **found}


def _judge(job: GeneralJob, config: GeneralConfig, gan: Gan, held: _Source, progress: GeneralProgress) -> _Judge | None:
    """What validates; None where nothing is held out."""
    heads = None if job.validate is None else _read_heads(job.validate, job.held, gan.info.resolution)
    if heads is not None:
        held = _Source(heads.image)
    if len(held.images) == 0:
        return None
    # Of these photos only the masks are needed: their latents are not looked for.
    nothing = torch.zeros(len(held.images), gan.info.num_ws, gan.info.w_dim)
    fit = replace(config.fit, turn=replace(config.fit.turn, use=False))
    plans = _plans(
        job, replace(config, fit=fit), gan, replace(held, latents=nothing), [f"held {i}" for i in range(len(nothing))]
    )
    found = Gatherer(plans[0], None, lambda what, done, total: None, progress.on_note).gather(plans, "held")
    if heads is not None and found.failed:
        raise InputError(f"{job.validate}: {found.failed[0][0]} cannot be validated on ({found.failed[0][1]}).")
    return _Judge(found.problem, heads)


def _read_heads(path: Path, count: int, size: int) -> HeadTruth:
    """Rendered heads, the first ones. Raises InputError where there are none of the size."""
    if path.is_dir():
        split = path / "val" if (path / "val").is_dir() else path
        several = [load_head(split, i) for i in range(min(count, len(head_files(split))))]
        heads = HeadTruth(*(torch.cat([getattr(one, f.name) for one in several]) for f in fields(HeadTruth)))
    else:
        heads = load_packed_heads(path).take(slice(0, count))
    if heads.image.shape[-1] != size:
        raise InputError(f"{path} holds heads of {heads.image.shape[-1]} px, and the generator makes {size}.")
    return heads


# -- the run -----------------------------------------------------------------------------------------------------------


class _Watch:
    """Keeps the log and the state, judges, and hands interrupts on; all processes stop at one iteration."""

    def __init__(
        self,
        partial: Partial | None,
        interrupts: Interrupts,
        progress: GeneralProgress,
        judge: _Judge | None,
        message: str,
    ) -> None:
        self.partial, self.interrupts, self.progress = partial, interrupts, progress
        self.judge, self.message = judge, message
        self.log: list[dict[str, Any]] = []
        self.sums: dict[str, list[float]] = {}
        self.done = 0
        self.kept_at = time.monotonic()

    def restore(self, state: JointState, problem: Problem, folder: Path, resume: bool) -> None:
        """Bring a fresh state to where the working folder has it, in every process alike."""
        source = self.partial or Partial(folder, {})
        found = source.load(STATE) if resume else None
        if found is not None:
            state.restore(found[0], problem)
            self.done = found[1]["done"]
            if self.partial:
                self.log = self.partial.load_log(self.done)

    def on_iteration(self, event: JointEvent) -> None:
        self.done = event.done
        for name, value in {**event.terms, "seconds": event.seconds}.items():
            self.sums.setdefault(name, []).append(value)
        ends = event.iteration == event.phase.step.iterations
        if self.partial is not None and (ends or len(self.sums["seconds"]) >= MEAN_OF):
            means = {name: round(sum(values) / len(values), 6) for name, values in self.sums.items()}
            where = {"phase": event.phase.title, "iteration": event.iteration, "done": event.done}
            self.log.append({**where, **means})
            self.sums = {}
        if self.partial is not None:
            self.progress.on_iteration(event)

    def on_state(self, state: JointState) -> None:
        asked = self.interrupts.asked is not None
        if place()[1] > 1:
            asked = (
                float(processes.mean(torch.tensor(float(asked), device=next(state.nets.view.parameters()).device))) > 0
            )
        if asked or time.monotonic() - self.kept_at > SAVE_EVERY_S:
            self.keep(state)
        if asked:
            self.interrupts.raise_if_asked()
            raise Interrupted(self.message)

    def keep(self, state: JointState) -> None:
        """Write log and state; the first process alone."""
        if self.partial is not None:
            self.partial.save_log(self.log)
            self.partial.save(STATE, state.tensors(), {"done": self.done})
            self.partial.save_progress({"done": self.done})
        self.kept_at = time.monotonic()

    def validate(self, state: JointState, epoch: int) -> float | None:
        if self.judge is None:
            return None
        scores = self.judge(state)
        if self.partial is not None:
            self.log.append({"epoch": epoch, "done": self.done, **{name: round(v, 5) for name, v in scores.items()}})
            self.progress.on_validation(epoch, scores)
        return scores["score"]


def _check(job: GeneralJob, config: GeneralConfig) -> None:
    if job.out.suffix != ".safetensors":
        raise InputError(f"The model's file must end in .safetensors, not {job.out.name}.")
    if not config.rounds or config.batch < 1 or config.prior_epochs < 0 or job.photos < 2 or job.held < 0:
        raise InputError("A joint training needs rounds, a batch of at least 1 and at least 2 photos.")
    if not 0 < job.psi <= 2:
        raise InputError(f"--psi must be over 0 and at most 2, not {job.psi}.")
    check_writable(job.out)
    if job.out.exists() and not (job.resume or job.overwrite):
        raise OutputError(f"{job.out} exists; go on with --resume or start over with --overwrite.")


def _identity(job: GeneralJob, config: GeneralConfig, gan: Gan, photos: _Source) -> dict[str, Any]:
    """What must agree for a training to be gone on with."""
    other = ("out", "resume", "overwrite", "device", "config", "gan", "name", "licence", "keep_offset")
    kept = {f.name: getattr(job, f.name) for f in fields(job) if f.name not in other}
    record = {**kept, "config": config, "generator_sha256": gan.info.sha256, "photos": len(photos.images)}
    found: dict[str, Any] = json.loads(json.dumps(plain(record)))
    return found


def _facts(job: GeneralJob, config: GeneralConfig, gan: Gan, problem: Problem) -> GeneralFacts:
    return GeneralFacts(
        name=job.name or job.out.stem,
        category=job.category or gan.info.category,
        licence=job.licence,
        size=gan.info.resolution,
        w_dim=gan.info.w_dim,
        width=config.fit.nets.width,
        view=config.fit.view,
        view_mean=problem.scenes.views.mean,
        generator_name=gan.info.name,
        generator_sha256=gan.info.sha256,
        photos=len(problem.photo),
        offset=job.keep_offset,
    )


def card(facts: GeneralFacts, config: GeneralConfig, log: Sequence[Mapping[str, Any]]) -> str:
    """A model card in Markdown."""
    checks = [line for line in log if "score" in line]
    names = [name for name in ("side_x100", "mad_mesh_deg", "photo_l1") if checks and name in checks[0]]
    head = "| epoch | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1) + "\n"
    rows = "".join(f"| {line['epoch']} | " + " | ".join(f"{line[n]:.3f}" for n in names) + " |\n" for line in checks)
    rounds = "; ".join(
        f"{r.epochs} epochs of {r.albedo}/{r.project}/{r.factorise} at Np {r.samples}" for r in config.rounds
    )
    return (
        f"# {facts.name}: a general model\n\n"
        f"One set of networks for all photos of the kind that the generator `{facts.generator_name}` makes, "
        f"{facts.size} px; licence: {facts.licence}.\n\n"
        f"- Fitted to {facts.photos} photos: {rounds}; batches of {config.batch}; prior: {config.fit.prior.shape}.\n"
        f"- Generator {facts.generator_sha256}; networks of width {facts.width:g}.\n"
        f"- The best networks on photos that were held out are the ones kept.\n" + (f"\n{head}{rows}" if checks else "")
    )
