"""Go on with a general model on thousands of pictures: photo-geometric autoencoding, resumable."""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bozzetto.autoencode_job import AutoencodeJob, AutoencodeProgress, Pictures, find_segmenter, pictures_of
from bozzetto.bench.datasets import HeadTruth
from bozzetto.config import ComputeConfig, FitConfig, OptimConfig
from bozzetto.disk import clear, leftovers
from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import check_writable, write_text
from bozzetto.gan.generator import Gan
from bozzetto.gan.zoo import ZOO
from bozzetto.general_check import Judge, read_heads, score_table
from bozzetto.general_model import GeneralFacts, GeneralModel, load_general, save_general
from bozzetto.inputs import category_of, find_gan, mask_identity
from bozzetto.keep import Interrupts
from bozzetto.method.autoencode import FIRST, MOVES, autoencode_terms, batch_of, mirrored
from bozzetto.method.guard import find_collapse, find_damage, find_trouble, recover, remember
from bozzetto.method.joint import JointState
from bozzetto.method.problem import Problem
from bozzetto.method.sampling import SceneDistribution, ViewDistribution
from bozzetto.method.state import FitState, make_optimiser
from bozzetto.nets.networks import make_networks
from bozzetto.processes import without_denormals
from bozzetto.results.partial import STATE, Partial, held, open_partial
from bozzetto.results.provenance import plain
from bozzetto.seeds import check_seed, seeded
from bozzetto.segment.categories import CATEGORIES
from bozzetto.types import Camera, DepthRange

MAX_PICTURES = 1_000_000
SAVE_EVERY_S = 60.0
CHECK_EVERY = 1000  # iterations
TOLD_EVERY = 10
ALBEDO_ITERATIONS = 1000  # where there is no albedo network yet
SOME = 16  # pictures that are looked at for a collapsed shape
ADVICE = "try a lower --config.lr or another --order"


def working_folder(out: Path) -> Path:
    """Where it is kept what it takes to go on."""
    return out.with_suffix(".autoencoding")


def autoencode(job: AutoencodeJob, progress: AutoencodeProgress) -> Path:
    """Train to the end of the schedule; returns the model's file.

    Raises:
        InputError, CheckpointError, MissingExtraError: something given cannot be used.
        OutputError: the file is there and neither --resume nor --overwrite is said, or cannot be written.
        FitError: the numbers went wrong.
        Interrupted: after Ctrl-C; the state is saved first.
    """
    _check(job)
    model = load_general(job.model, job.device)
    gan = _teacher(job, model, progress)
    known = model.facts.category if model.facts.category in CATEGORIES else gan.info.category
    category = category_of(job.category, replace(gan.info, category=known))
    find_segmenter(job.mask, category)  # complains now and not after the pictures
    heads = None if job.validate is None else read_heads(job.validate, job.held, model.facts.size)
    folder = working_folder(job.out)
    if job.resume and job.out.exists() and not folder.exists():
        progress.on_note(f"{job.out} is there, and no training that is to go on; --overwrite makes it anew.")
        return job.out
    partial = open_partial(folder, _identity(job, model, gan), job.resume, job.overwrite)
    message = f"Stopped. {folder} keeps the training; go on with --resume."
    with held(partial), without_denormals(), Interrupts(message) as interrupts:
        clear([one for suffix in (".safetensors", ".md") for one in leftovers(job.out.with_suffix(suffix))])
        pictures, others = pictures_of(job, gan, category, partial, progress)
        training = Training(job, model, _problem_of(job, model, gan), pictures)
        judge = _judge(job, training.problem, others, heads)
        interrupts.patient = True
        training.run(partial, interrupts, progress, judge)
        interrupts.patient = False
        facts = replace(
            model.facts,
            name=job.name or job.out.stem,
            category=category,
            licence=job.licence or model.facts.licence,
            generator_name=gan.info.name,
            generator_sha256=gan.info.sha256,
            albedo=job.keep_albedo,
            pictures=len(pictures.image),
        )
        save_general(job.out, training.state.nets, facts)
        write_text(job.out.with_suffix(".md"), card(facts, job, model, training.scores))
        partial.remove()
    return job.out


class Training:
    """The networks on their way."""

    def __init__(self, job: AutoencodeJob, model: GeneralModel, problem: Problem, pictures: Pictures) -> None:
        config, nets = job.config, model.networks
        if not model.facts.albedo:
            fresh = make_networks(model.facts.size, model.facts.w_dim, seeded(job.seed), "cpu", model.facts.width)
            nets.albedo.load_state_dict(fresh.albedo.state_dict())
        first = config.albedo_iterations
        if first is None:
            first = 0 if model.facts.albedo else ALBEDO_ITERATIONS
        rows = (("albedo", FIRST, first), ("autoencode", MOVES, config.iterations))
        self.phases = [row for row in rows if row[2] > 0]
        self.problem, self.config, self.pictures = problem, config, pictures
        self.state = FitState(nets, torch.Generator().manual_seed(job.order))
        self.scores: list[dict[str, Any]] = []
        self.total = sum(row[2] for row in self.phases)

    def restore(self, partial: Partial) -> None:
        """Go on from the working folder's state, if it has one. Raises OutputError."""
        found = partial.load(STATE)
        if found is None:
            return
        tensors, facts = found
        try:
            phase = int(tensors["position"][0])
            moves = self.phases[phase][1] if phase < len(self.phases) else ()
            self.state.restore(tensors, moves, OptimConfig(), fused=True)
            self.scores = list(facts["scores"])
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise OutputError(
                f"{partial.folder / STATE} is no state of this training; delete {partial.folder} or start over with "
                "--overwrite."
            ) from error

    def run(self, partial: Partial, interrupts: Interrupts, progress: AutoencodeProgress, judge: Judge | None) -> None:
        """Walk the phases from where the state stands. Raises FitError, OutputError, Interrupted."""
        self.restore(partial)
        state, saved = self.state, time.monotonic()
        if judge is not None and not self.scores:
            self._score(judge, progress)
        while state.phase < len(self.phases):
            kind, moves, iterations = self.phases[state.phase]
            state.nets.train_only(moves)
            remember(state, moves)
            while state.iteration < iterations:
                loss = self._iterate(kind, moves, iterations)
                if loss is not None:
                    state.iteration += 1
                    if state.iteration % TOLD_EVERY == 0 or state.iteration == iterations:
                        progress.on_count(kind, state.iteration, iterations, loss)
                    if judge is not None and state.iteration < iterations and state.iteration % CHECK_EVERY == 0:
                        self._score(judge, progress)
                if interrupts.asked is not None or time.monotonic() - saved > SAVE_EVERY_S:
                    self._save(partial)
                    saved = time.monotonic()
                    interrupts.raise_if_asked()
            parameters = state.nets.parameters(moves)
            trouble = find_damage(parameters, state.optimiser) or find_collapse(state.nets, self._some())
            if trouble is not None:
                recover(state, trouble, kind, kind, parameters, at_end=True, advice=ADVICE)
                continue
            state.phase, state.iteration, state.start, state.optimiser = state.phase + 1, 0, {}, None
            if judge is not None:
                self._score(judge, progress)
            self._save(partial)
        state.nets.train_only(())

    def _iterate(self, kind: str, moves: tuple[str, ...], iterations: int) -> float | None:
        """One step; its loss, or None where it was not taken."""
        state, config = self.state, self.config
        parameters = state.nets.parameters(moves)
        if state.optimiser is None:
            state.optimiser = make_optimiser(parameters, OptimConfig(), config.lr, fused=True)
        fall = (1 + math.cos(math.pi * state.iteration / iterations)) / 2 if kind == "autoencode" else 1.0
        rate = config.lr * (config.final_lr + (1 - config.final_lr) * fall)
        state.optimiser.param_groups[0]["lr"] = rate * state.rate
        index, which = batch_of(len(self.pictures.image), config.batch, state.generator)
        photo, mask = self.pictures.take(index, self.problem.photo.device)
        which = which.to(photo.device)
        part = _with(self.problem, mirrored(photo, which), mirrored(mask, which))
        state.optimiser.zero_grad(set_to_none=True)
        terms = autoencode_terms(part, state.nets, config.mirror_weight, config.smooth_depth_weight)
        terms["total"].backward()  # type: ignore[no-untyped-call]
        trouble = find_trouble(terms, parameters)
        if trouble is not None:
            recover(state, trouble, kind, kind, parameters, advice=ADVICE)
            return None
        state.optimiser.step()
        return float(terms["total"].detach())

    def _some(self) -> Problem:
        return _with(self.problem, *self.pictures.take(slice(0, SOME), self.problem.photo.device))

    def _done(self) -> int:
        return sum(row[2] for row in self.phases[: self.state.phase]) + self.state.iteration

    def _score(self, judge: Judge, progress: AutoencodeProgress) -> None:
        state = self.state
        found = judge(JointState(state.nets))
        self.scores = [row for row in self.scores if row["done"] < self._done()]  # what was undone, or is said again
        self.scores.append({"done": self._done(), **{name: round(value, 5) for name, value in found.items()}})
        progress.on_scores(self._done(), found)

    def _save(self, partial: Partial) -> None:
        partial.save(STATE, self.state.tensors(copy=False), {"scores": self.scores})
        partial.save_progress({"done": self._done(), "total": self.total})


def _problem_of(job: AutoencodeJob, model: GeneralModel, gan: Gan) -> Problem:
    """What every batch shares, with no photo yet."""
    facts = model.facts
    nothing = torch.zeros(0, 1, facts.size, facts.size, device=job.device)
    return Problem(
        photo=nothing.expand(-1, 3, -1, -1),
        mask=nothing,
        latent=_no_latents(nothing),
        prior=None,
        gan=gan,
        perceptual=None,
        scenes=SceneDistribution(ViewDistribution(mean=facts.view_mean)),
        camera=Camera(facts.size),
        depth_range=DepthRange(),
        config=FitConfig(stages=(), view=facts.view, compute=ComputeConfig(precision=job.config.precision)),
    )


def _no_latents(photo: Tensor) -> Tensor:
    """In place of the photos' latents, which nothing here looks at."""
    return photo.new_zeros(len(photo), 1, 1)


def _with(problem: Problem, photo: Tensor, mask: Tensor) -> Problem:
    """The problem of these photos, inside these masks."""
    return replace(problem, photo=photo, mask=mask, latent=_no_latents(photo))


def _judge(job: AutoencodeJob, problem: Problem, others: Pictures | None, heads: HeadTruth | None) -> Judge | None:
    """What scores; None where nothing is held out."""
    if heads is not None:
        photo, mask = heads.image.to(job.device), heads.mask.float().to(job.device)
    elif others is not None:
        photo, mask = others.take(slice(None), job.device)
    else:
        return None
    return Judge(_with(problem, photo, mask), heads)


def _check(job: AutoencodeJob) -> None:
    config = job.config
    check_seed(job.seed)
    check_seed(job.order)
    if job.out.suffix != ".safetensors":
        raise InputError(f"The model's file must end in .safetensors, not {job.out.name}.")
    if not 1 <= job.pictures <= MAX_PICTURES or not 0 <= job.held <= MAX_PICTURES:
        raise InputError(f"--pictures and --held must be at least 1 and 0, and at most {MAX_PICTURES}.")
    if job.validate is not None and job.held < 1:
        raise InputError("--validate scores as many heads as --held says, at least 1.")
    if not 0 < job.psi <= 2:
        raise InputError(f"--psi must be over 0 and at most 2, not {job.psi}.")
    counts = (config.iterations, config.batch, config.albedo_iterations or 0)
    weights = (config.lr, config.final_lr, config.mirror_weight, config.smooth_depth_weight)
    if (
        min(counts) < 0
        or counts[1] < 1
        or not all(math.isfinite(one) and one >= 0 for one in weights)
        or config.lr == 0
    ):
        raise InputError("Iterations, weights and rates cannot be negative, and batch and rate not 0.")
    if config.iterations == 0 and config.albedo_iterations == 0:
        raise InputError("There is nothing to train; give --config.iterations above 0.")
    if job.out.exists() and Path(job.model).exists() and job.out.samefile(job.model):
        raise InputError("The new model cannot be written over the one that goes on; give another --out.")
    check_writable(job.out)
    if job.out.exists() and not (job.resume or job.overwrite):
        raise OutputError(f"{job.out} exists; start over with --overwrite.")


def _identity(job: AutoencodeJob, model: GeneralModel, gan: Gan) -> dict[str, Any]:
    """What must agree for a training to be gone on with."""
    other = ("model", "out", "gan", "resume", "overwrite", "device", "name", "licence", "keep_albedo")
    kept = {f.name: plain(getattr(job, f.name)) for f in fields(job) if f.name not in other}
    kept["mask"] = mask_identity(job.mask)
    return {**kept, "model_sha256": model.sha256, "generator_sha256": gan.info.sha256}


def _teacher(job: AutoencodeJob, model: GeneralModel, progress: AutoencodeProgress) -> Gan:
    """The generator. Raises InputError where it is not told, or makes pictures of another size."""
    facts = model.facts
    if job.gan is None and facts.generator_name not in {row.name for row in ZOO}:
        raise InputError(f"The generator '{facts.generator_name}' of this model is not built in; name it with --gan.")
    gan = find_gan(job.gan or facts.generator_name, job.device, "fp32")
    if gan.info.resolution != facts.size:
        raise InputError(
            f"The general model '{facts.name}' reads pictures of {facts.size} px and the generator "
            f"'{gan.info.name}' makes {gan.info.resolution}; name its own generator with --gan."
        )
    if gan.info.sha256 != facts.generator_sha256:
        progress.on_note(f"'{gan.info.name}' is not the generator that '{facts.name}' was trained with before.")
    return gan


def card(facts: GeneralFacts, job: AutoencodeJob, before: GeneralModel, scores: list[dict[str, Any]]) -> str:
    """A model card in Markdown. facts: of the new model, which went on from `before`."""
    config, table = job.config, score_table(scores, "iteration", "done")
    source = f"psi {job.psi:g}" if job.source is None else job.source.name
    return (
        f"# {facts.name}: a general model\n\n"
        f"One set of networks for all photos of the kind that the generator `{facts.generator_name}` makes, "
        f"{facts.size} px; licence: {facts.licence}.\n\n"
        f"- `{before.facts.name}` ({before.sha256}), trained on {facts.photos} photos, and then autoencoded "
        f"on {facts.pictures} pictures ({source}): {config.iterations} iterations of {config.batch}.\n"
        f"- Generator {facts.generator_sha256}; networks of width {facts.width:g}"
        f"{''.join(f', without {name[:-1]}' for name in facts.absent)}.\n" + (f"\n{table}" if table else "")
    )
