"""One set of networks fitted to many photos, the general model M*: the loop that walks the phases.

Every random number of an iteration comes from a generator that is a function of seed, phase and iteration alone, so
that a resumed training goes on bit for bit. Where several processes train together, each takes its share of every
batch, gradients are averaged, and the networks stay the same in all of them.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam

from bozzetto import processes
from bozzetto.config import GeneralConfig, OptimConfig
from bozzetto.method.chunks import pieces
from bozzetto.method.collected import Collected
from bozzetto.method.guard import find_collapse, find_damage, find_trouble, recover, remember
from bozzetto.method.initialise import PriorStep
from bozzetto.method.instance import moves
from bozzetto.method.joint_schedule import JointPhase, batch_of, joint_phases, visits
from bozzetto.method.problem import Problem
from bozzetto.method.state import adam_tensors, guard_from, guard_tensors, make_optimiser, restore_adam
from bozzetto.method.step1_albedo import AlbedoStep
from bozzetto.method.step2_project import ProjectStep
from bozzetto.method.step3_factorise import factorise_parts, factorise_terms
from bozzetto.nets.networks import Networks, make_networks
from bozzetto.seeds import seeded

STEP = 3  # stream of random numbers
COLLECTED = "collected.f16"
JOINT_ADVICE = "try a lower --fit.optim.lr, another --seed or --fit.compute.precision fp32"
KINDS = ("prior", "albedo", "project", "factorise")  # each has an Adam of its own, for the whole training


@dataclass
class JointState:
    """Everything a joint training is between two iterations."""

    nets: Networks
    phase: int = 0
    iteration: int = 0
    optimisers: dict[str, Adam] = field(default_factory=dict)
    best: dict[str, Tensor] | None = None  # the networks that validated best
    best_score: float = math.inf
    stale: int = 0  # validations since then
    rate: float = 1.0  # times the learning rate; lower after trouble (method/guard.py)
    went_back: bool = False  # to where a phase began
    start: dict[str, Tensor] = field(default_factory=dict)  # weights that the phase trains, as it began

    def tensors(self) -> dict[str, Tensor]:
        """The whole state under flat names."""
        out = {f"nets.{name}": value for name, value in self.nets.state().items()}
        out["position"] = torch.tensor([self.phase, self.iteration, self.stale])
        out["best_score"] = torch.tensor(self.best_score, dtype=torch.float64)
        for kind, optimiser in self.optimisers.items():
            out |= adam_tensors(optimiser, f"adam.{kind}.")
        out |= guard_tensors(self.rate, self.went_back, self.start)
        if self.best is not None:
            out |= {f"best.{name}": value for name, value in self.best.items()}
        return out

    def restore(self, tensors: dict[str, Tensor], problem: Problem) -> None:
        """Inverse of `tensors`."""
        self.nets.load_state({k[5:]: v for k, v in tensors.items() if k.startswith("nets.")})
        self.phase, self.iteration, self.stale = (int(v) for v in tensors["position"])
        self.best_score = float(tensors["best_score"])
        self.best = {k[5:]: v for k, v in tensors.items() if k.startswith("best.")} or None
        self.rate, self.went_back, self.start = guard_from(tensors, problem.photo.device)
        self.optimisers = {}
        for kind in KINDS:
            if any(name.startswith(f"adam.{kind}.") for name in tensors):
                restore_adam(self.optimiser(kind, problem), tensors, f"adam.{kind}.")

    def forget(self, kind: str) -> None:
        """Drop Adam's moments of a kind of step."""
        self.optimisers.pop(kind, None)

    def optimiser(self, kind: str, problem: Problem) -> Adam:
        """The Adam of a kind of step."""
        if kind not in self.optimisers:
            optim, fused = problem.config.optim, problem.config.compute.fused_adam
            parameters = self.nets.parameters(moves(problem, kind))  # type: ignore[arg-type]
            self.optimisers[kind] = make_optimiser(parameters, optim, optim.lr, fused)
        return self.optimisers[kind]


@dataclass(frozen=True)
class JointEvent:
    """One finished iteration."""

    phase: JointPhase
    iteration: int  # of the phase, from 1
    done: int  # iterations of the whole training
    total: int  # a cap: the training may stop early
    terms: dict[str, float]
    seconds: float


@runtime_checkable
class JointWatcher(Protocol):
    """Hears of every iteration, judges the networks after every epoch, and decides when the state is kept."""

    def on_iteration(self, event: JointEvent) -> None: ...

    def on_state(self, state: JointState) -> None:
        """Called between iterations, in every process."""
        ...

    def on_overwriting(self, state: JointState) -> None:
        """Called in every process before the samples that a state kept until now may need are written over."""
        ...

    def validate(self, state: JointState, epoch: int) -> float | None:
        """How bad the networks are on other photos, the same in every process; None where nothing is known."""
        ...


def new_joint_state(problem: Problem, seed: int) -> JointState:
    """Fresh networks, a function of the seed."""
    generator = torch.Generator().manual_seed(seed)
    size, device, width = problem.camera.size, problem.photo.device, problem.config.nets.width
    return JointState(make_networks(size, problem.gan.info.w_dim, generator, device, width))


class JointFit:
    """A joint training of `config` on the photos of `problem`, whose own config is `config.fit`."""

    def __init__(self, problem: Problem, config: GeneralConfig, seed: int, folder: Path | None = None) -> None:
        """folder: where samples are kept while they are needed; a temporary file, if not given.

        Raises InputError where the batch cannot be shared by the processes.
        """
        self.problem, self.config, self.seed, self.folder = problem, config, seed, folder
        self.photos = len(problem.photo)
        self.batch = min(config.batch, self.photos)
        self.share, self.rank = processes.share_of(self.batch), processes.place()[0]
        self.phases = joint_phases(config, self.photos, problem.prior is not None)
        self.kept: Collected | None = None
        self._kept_for: tuple[int, int | None] | None = None

    def run(self, state: JointState, watcher: JointWatcher) -> Networks:
        """Walk the schedule from where the state stands to its end, and return the best networks there were.

        Raises:
            FitError: the numbers went wrong, and again after all that `guard.recover` does.
            OutputError: there is no room for samples.
        """
        total = sum(phase.step.iterations for phase in self.phases)
        while state.phase < len(self.phases):
            phase = self.phases[state.phase]
            before = sum(row.step.iterations for row in self.phases[: state.phase])
            trained = moves(self.problem, phase.step.kind)
            state.nets.train_only(trained)
            remember(state, trained)
            if phase.step.kind == "collect" and state.iteration == 0:
                watcher.on_overwriting(state)
                processes.wait()
            while state.iteration < phase.step.iterations:
                start = time.perf_counter()
                terms = self._iterate(state, phase)
                if terms is None:
                    continue
                state.iteration += 1
                seconds = time.perf_counter() - start
                event = JointEvent(phase, state.iteration, before + state.iteration, total, terms, seconds)
                watcher.on_iteration(event)
                if state.iteration < phase.step.iterations:
                    watcher.on_state(state)
            if phase.step.kind == "collect":
                self._store(phase).flush()
                processes.wait()
            if self._is_bad(state, phase):
                continue
            state.phase, state.iteration, state.start = state.phase + 1, 0, {}
            ends = phase.ends_epoch and self._judge(state, watcher, phase.epoch)
            watcher.on_state(state)
            if ends:
                break
        if state.best is not None:
            state.nets.load_state(state.best)
        state.nets.train_only(())
        return state.nets

    def _judge(self, state: JointState, watcher: JointWatcher, epoch: int) -> bool:
        """Validate, keep the best networks; True where it is time to stop."""
        last = state.phase == len(self.phases)
        if not last and (epoch == 0 or epoch % self.config.validate_every):
            return False
        score = watcher.validate(state, epoch)
        if score is None:
            return False
        if score < state.best_score:
            state.best_score, state.stale = score, 0
            state.best = {name: value.detach().clone() for name, value in state.nets.state().items()}
        else:
            state.stale += 1
        return 0 < self.config.patience <= state.stale

    def _iterate(self, state: JointState, phase: JointPhase) -> dict[str, float] | None:
        """One step; its losses, or None where it was not taken: `state.iteration` is then where to go on."""
        number = state.phase
        everybody = batch_of(phase, number, state.iteration, self.seed, self.photos, self.batch)
        mine = everybody[self.rank * self.share : (self.rank + 1) * self.share]
        # Rows of the samples' file: places in the visit's batch, or the photos themselves.
        rows = torch.arange(len(everybody)) if phase.visit is not None else everybody
        rows = rows[self.rank * self.share : (self.rank + 1) * self.share]
        rng = seeded(self.seed, STEP, number, state.iteration, self.rank)
        if phase.step.kind == "albedo" and self.config.albedo_photos is not None:
            mine = mine[: self.config.albedo_photos]
        part = self.problem.take(mine)
        if phase.step.kind == "collect":
            repeat = state.iteration if phase.visit is not None else state.iteration // self._count()
            self._store(phase).put(rows, repeat, ProjectStep(part, state.nets, phase.step.samples).collect(rng))
            return {}
        optimiser = state.optimiser(phase.step.kind, self.problem)
        optimiser.param_groups[0]["lr"] = self._learning_rate(phase, state) * state.rate
        optimiser.zero_grad(set_to_none=True)
        terms = self._terms(part, state.nets, phase, rows, rng)
        if terms["total"].requires_grad:  # otherwise its chunks were back-propagated one by one
            terms["total"].backward()
        parameters = state.nets.parameters(moves(self.problem, phase.step.kind))
        if processes.place()[1] > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad = processes.mean(parameter.grad)
        trouble = self._anywhere(find_trouble(terms, parameters))
        if trouble is not None:
            if not recover(state, trouble, phase.step.kind, phase.title, parameters, advice=JOINT_ADVICE):
                state.iteration += 1  # the same draws would come again
            return None
        optimiser.step()
        values = processes.mean(torch.stack([value.detach().double() for value in terms.values()])).tolist()
        return dict(zip(terms, values, strict=True))

    def _anywhere(self, trouble: str | None) -> str | None:
        """The trouble of this process or of another one: all of them do the same."""
        found = processes.mean(torch.tensor(float(trouble is not None), device=self.problem.photo.device))
        return trouble or ("A loss of another process is not finite" if float(found) > 0 else None)

    def _is_bad(self, state: JointState, phase: JointPhase) -> bool:
        """Look at what a phase ends with; where it is bad, go back to the phase's beginning, or raise FitError.

        The networks are the same in all processes, and so is what is found.
        """
        kind = phase.step.kind
        parameters = state.nets.parameters(moves(self.problem, kind))
        trouble = find_damage(parameters, state.optimisers.get(kind))
        if trouble is None and kind == "factorise":
            trouble = find_collapse(state.nets, self.problem)
        if trouble is None:
            return False
        return recover(state, trouble, kind, phase.title, parameters, at_end=True, advice=JOINT_ADVICE)

    def _count(self) -> int:
        return visits(self.photos, self.batch)

    def _terms(
        self, part: Problem, nets: Networks, phase: JointPhase, rows: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        step = phase.step
        if step.kind == "prior":
            return PriorStep(part, nets).loss()
        if step.kind == "albedo":
            return AlbedoStep(part, nets, step.mirror).loss()
        if step.kind == "project":
            return ProjectStep(part, nets, step.samples).descend(rng)
        targets, item = self._draw(part, phase, rows, rng)
        chunk = part.config.compute.chunk
        if not 0 < chunk < len(item):
            return factorise_terms(part, nets, targets.to(part.photo), item, step.mirror)
        parts = ((item[k], targets[k].to(part.photo), None) for k in pieces(len(item), chunk))
        return factorise_parts(part, nets, parts, len(item), step.mirror)

    def _draw(
        self, part: Problem, phase: JointPhase, rows: Tensor, rng: torch.Generator
    ) -> tuple[Float[Tensor, "m 3 s s"], Tensor]:
        """Np samples of each photo, projected ones and turned pictures, and their photo's place in the batch."""
        count, photos = phase.step.samples, len(rows)
        from_turned = 0 if part.turned is None else round(count * part.config.turn.share)
        from_kept = count - from_turned
        store = self._store(phase)
        pick = torch.randint(store.array.shape[1], (photos, from_kept), generator=rng)
        images = [store.take(rows.repeat_interleave(from_kept), pick.flatten())]
        items = [torch.arange(photos).repeat_interleave(from_kept)]
        if part.turned is not None and from_turned:
            pick = torch.randint(len(part.turned.images), (photos, from_turned), generator=rng)
            items.append(torch.arange(photos).repeat_interleave(from_turned))
            images.append(part.turned.images[pick.flatten(), items[-1]].cpu())
        return torch.cat(images), torch.cat(items)

    def _store(self, phase: JointPhase) -> Collected:
        """The samples of a visit."""
        visit = (phase.epoch, phase.visit)
        if self.kept is not None and self._kept_for == visit:
            return self.kept
        project = self.config.fit.project
        kept = phase.step.samples * (project.collect_batches if project.collect == "redraw" else 1)
        photos = self.photos if phase.visit is None else self.batch
        path = None if self.folder is None else self.folder / COLLECTED
        for turn in (self.rank == 0, self.rank > 0):  # the first process makes the file, the others find it made
            if turn:
                self.kept = Collected(path, photos, kept, self.problem.camera.size)
            processes.wait()
        self._kept_for = visit
        assert self.kept is not None
        return self.kept

    def _learning_rate(self, phase: JointPhase, state: JointState) -> float:
        """The rate of an iteration; step 3's falls over the whole training, so that the depth comes to rest."""
        optim: OptimConfig = self.config.fit.optim
        if phase.step.kind != "factorise":
            return {"prior": optim.prior_lr, "project": optim.project_lr}.get(phase.step.kind, optim.lr)
        rows = [(i, row.step.iterations) for i, row in enumerate(self.phases) if row.step.kind == "factorise"]
        done = sum(count for i, count in rows if i < state.phase) + state.iteration
        fall = (1 + math.cos(math.pi * done / sum(count for _, count in rows))) / 2
        return optim.lr * (optim.final_lr + (1 - optim.final_lr) * fall)
