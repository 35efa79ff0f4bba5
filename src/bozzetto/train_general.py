"""Train the general model M* of a generator: photos to ingredients, the joint training, checks on others, its file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from bozzetto import processes
from bozzetto.config import GeneralConfig
from bozzetto.disk import clear, leftovers
from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import check_writable, write_text
from bozzetto.gan.generator import Gan
from bozzetto.gather import Gatherer
from bozzetto.general_check import Judge, judge_of, score_table
from bozzetto.general_job import GeneralJob, GeneralProgress, Source, photos_of, plans_of
from bozzetto.general_model import GeneralFacts, save_general
from bozzetto.ingredients import JUDGES
from bozzetto.inputs import find_gan
from bozzetto.keep import Interrupted, Interrupts
from bozzetto.method.joint import JointEvent, JointFit, JointState, new_joint_state
from bozzetto.method.problem import Problem
from bozzetto.processes import place
from bozzetto.results.partial import STATE, Partial, held, open_partial
from bozzetto.results.provenance import plain

SAVE_EVERY_S = 60.0
MEAN_OF = 20  # iterations a line of the log sums up


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
    photos, others, names = photos_of(job, gan, progress)
    folder = working_folder(job.out)
    settings = _identity(job, config, gan, photos)
    partial = open_partial(folder, settings, job.resume, job.overwrite) if chief else None
    processes.wait()
    message = f"Stopped. {folder} keeps the training; go on with --resume."
    with held(partial), Interrupts(message) as interrupts:
        if chief:  # of a training that was killed while it wrote
            clear([one for suffix in (".safetensors", ".md") for one in leftovers(job.out.with_suffix(suffix))])
        problem = _gather(job, config, gan, photos, names, partial, progress)
        judge = judge_of(job, config, gan, others, progress)
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


def _gather(
    job: GeneralJob,
    config: GeneralConfig,
    gan: Gan,
    photos: Source,
    names: Sequence[str],
    partial: Partial | None,
    progress: GeneralProgress,
) -> Problem:
    """The problem of all photos; the first process finds it, the others read what it kept."""
    plans = plans_of(job, config, gan, photos, names)
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


class _Watch:
    """Keeps the log and the state, judges, and hands interrupts on; all processes stop at one iteration."""

    def __init__(
        self,
        partial: Partial | None,
        interrupts: Interrupts,
        progress: GeneralProgress,
        judge: Judge | None,
        message: str,
    ) -> None:
        self.partial, self.interrupts, self.progress = partial, interrupts, progress
        self.judge, self.message = judge, message
        self.log: list[dict[str, Any]] = []
        self.sums: dict[str, list[float]] = {}
        self.done = 0
        self.kept_at = time.monotonic()
        self.kept_since = False  # samples were last written over

    def restore(self, state: JointState, problem: Problem, folder: Path, resume: bool) -> None:
        """Bring a fresh state to where the working folder has it, in every process alike."""
        source = self.partial or Partial(folder, {})
        found = source.load(STATE) if resume else None
        if found is not None:
            state.restore(found[0], problem)
            self.done, self.kept_since = found[1]["done"], True
            if self.partial:
                self.log = self.partial.load_log(self.done)

    def on_iteration(self, event: JointEvent) -> None:
        if event.done <= self.done:  # the networks went back: what came of it is undone
            self.log, self.sums = [line for line in self.log if line["done"] < event.done], {}
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

    def on_overwriting(self, state: JointState) -> None:
        """A state that was kept since the last time may need the samples as they are; keep one that does not."""
        if self.kept_since:
            self.keep(state)
        self.kept_since = False

    def keep(self, state: JointState) -> None:
        """Write log and state; the first process alone."""
        if self.partial is not None:
            self.partial.save_log(self.log)
            self.partial.save(STATE, state.tensors(), {"done": self.done})
            self.partial.save_progress({"done": self.done})
        self.kept_at, self.kept_since = time.monotonic(), True

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


def _identity(job: GeneralJob, config: GeneralConfig, gan: Gan, photos: Source) -> dict[str, Any]:
    """What must agree for a training to be gone on with."""
    other = ("out", "resume", "overwrite", "device", "config", "gan", "name", "licence", "keep_offset", "keep_albedo")
    kept = {f.name: getattr(job, f.name) for f in fields(job) if f.name not in other}
    kept["inversion"] = {k: v for k, v in asdict(job.inversion).items() if k not in JUDGES}
    record = {**kept, "config": config, "generator_sha256": gan.info.sha256, "photos": len(photos.images)}
    found: dict[str, Any] = json.loads(json.dumps(plain(record)))
    fit = found["config"]["fit"]
    del fit["texture"], fit["texture_px"]  # of results, which a training makes none of
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
        albedo=job.keep_albedo,
    )


def card(facts: GeneralFacts, config: GeneralConfig, log: Sequence[Mapping[str, Any]]) -> str:
    """A model card in Markdown."""
    checks = [line for line in log if "score" in line]
    table = score_table(checks, "epoch", "epoch")
    rounds = "; ".join(
        f"{r.epochs} epochs of {r.albedo}/{r.project}/{r.factorise} at Np {r.samples}" for r in config.rounds
    )
    return (
        f"# {facts.name}: a general model\n\n"
        f"One set of networks for all photos of the kind that the generator `{facts.generator_name}` makes, "
        f"{facts.size} px; licence: {facts.licence}.\n\n"
        f"- Fitted to {facts.photos} photos: {rounds}; batches of {config.batch}; prior: {config.fit.prior.shape}.\n"
        f"- Generator {facts.generator_sha256}; networks of width {facts.width:g}"
        f"{''.join(f', without {name[:-1]}' for name in facts.absent)}.\n"
        f"- The best networks on photos that were held out are the ones kept.\n" + (f"\n{table}" if table else "")
    )
