"""One set of networks fitted to its photo (or photos): the loop that walks the phases."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bozzetto.config import FitConfig, OptimConfig
from bozzetto.errors import FitError
from bozzetto.method.guard import ADVICE, SHAPE_ADVICE, find_collapse, find_damage, find_trouble, recover, remember
from bozzetto.method.initialise import PriorStep
from bozzetto.method.problem import Problem
from bozzetto.method.schedule import Phase, PhaseKind, phases
from bozzetto.method.state import FitState, make_optimiser
from bozzetto.method.step1_albedo import AlbedoStep
from bozzetto.method.step2_project import ProjectStep
from bozzetto.method.step3_factorise import FactoriseStep
from bozzetto.nets.networks import Networks, make_networks


@dataclass(frozen=True)
class Event:
    """One finished iteration."""

    phase: Phase
    iteration: int  # of the phase, from 1
    done: int  # iterations of the whole fit
    total: int  # a cap: the prior may stop early
    terms: dict[str, float]  # the losses as they were weighted; "total" is their sum
    seconds: float  # this iteration took


@runtime_checkable
class Watcher(Protocol):
    """Hears of every iteration, and decides when the state is worth keeping."""

    def on_iteration(self, event: Event) -> None: ...

    def on_state(self, state: FitState) -> None:
        """Called between iterations, with a state that `FitState.tensors` can freeze."""
        ...


class Silent:
    """Watches nothing."""

    def on_iteration(self, event: Event) -> None:
        return None

    def on_state(self, state: FitState) -> None:
        return None


def new_state(problem: Problem, seed: int) -> FitState:
    """Fresh networks and a generator, both functions of the seed; with `nets.seed` the networks of that alone."""
    generator = torch.Generator().manual_seed(seed)
    size, device, nets = problem.camera.size, problem.photo.device, problem.config.nets
    first = generator if nets.seed is None else torch.Generator().manual_seed(nets.seed)
    return FitState(make_networks(size, problem.gan.info.w_dim, first, device, nets.width), generator)


def moves(problem: Problem, kind: PhaseKind) -> tuple[str, ...]:
    """Which networks a kind of phase trains."""
    return moves_of(problem.config, problem.turned is not None, kind)


def moves_of(config: FitConfig, turned: bool, kind: PhaseKind) -> tuple[str, ...]:
    """As `moves`, from the settings and whether there are turned pictures."""
    prior: tuple[str, ...] = ("depth",)
    if turned:
        prior = ("depth", "view", "light", *(("albedo",) if config.turn.albedo_weight > 0 else ()))
    table: dict[PhaseKind, tuple[str, ...]] = {
        "prior": prior,
        "albedo": AlbedoStep.moves,
        "project": ("offset", "view", "light") if config.project.teach else ("offset",),
        "collect": (),
        "factorise": FactoriseStep.moves,
    }
    return table[kind]


def moves_at(problem: Problem, phase: int) -> tuple[str, ...]:
    """Which networks the numbered phase of a problem's schedule trains."""
    rows = phases(problem.config, problem.prior is not None)
    return moves(problem, rows[phase].kind) if phase < len(rows) else ()


def _learning_rate(optim: OptimConfig, phase: Phase, iteration: int) -> float:
    """The rate of a phase's iteration, counted from 0; in step 3 it falls, so that the depth comes to rest."""
    if phase.kind == "factorise":
        fall = (1 + math.cos(math.pi * iteration / phase.iterations)) / 2
        return optim.lr * (optim.final_lr + (1 - optim.final_lr) * fall)
    return {"prior": optim.prior_lr, "project": optim.project_lr}.get(phase.kind, optim.lr)


def fit(problem: Problem, state: FitState, watcher: Watcher | None = None) -> Networks:
    """Walk the schedule from where the state stands to its end.

    Raises:
        FitError: the numbers went wrong, and again after all that `guard.recover` does.
    """
    watcher = watcher or Silent()
    rows = phases(problem.config, problem.prior is not None)
    total = sum(phase.iterations for phase in rows)
    while state.phase < len(rows):
        phase = rows[state.phase]
        before = sum(row.iterations for row in rows[: state.phase])
        compute = _step(phase, problem, state)
        trained = moves(problem, phase.kind)
        state.nets.train_only(trained)
        remember(state, trained)
        optim = problem.config.optim
        parameters = state.nets.parameters(trained)
        while state.iteration < phase.iterations:
            if parameters and state.optimiser is None:
                state.optimiser = make_optimiser(parameters, optim, optim.lr, problem.config.compute.fused_adam)
            start = time.perf_counter()
            if state.optimiser is not None:
                state.optimiser.zero_grad(set_to_none=True)
            terms = compute()
            if state.optimiser is not None:
                state.optimiser.param_groups[0]["lr"] = _learning_rate(optim, phase, state.iteration) * state.rate
                if terms["total"].requires_grad:  # otherwise its chunks were back-propagated one by one
                    terms["total"].backward()
                trouble = find_trouble(terms, parameters)
                if trouble is not None:
                    recover(state, trouble, phase.kind, phase.title, parameters)
                    continue
                state.optimiser.step()
            values = {name: float(value.detach()) for name, value in terms.items()}
            _check(values, phase, state.iteration)
            state.iteration += 1
            stop = phase.kind == "prior" and values["prior"] < problem.config.prior.threshold
            if stop:
                state.iteration = phase.iterations
            seconds = time.perf_counter() - start
            watcher.on_iteration(Event(phase, state.iteration, before + state.iteration, total, values, seconds))
            if state.iteration < phase.iterations:
                watcher.on_state(state)
        if _is_bad(phase, state, problem, parameters):
            continue
        if state.optimiser is not None:
            state.optimiser.zero_grad(set_to_none=True)
        state.phase, state.iteration, state.optimiser, state.start = state.phase + 1, 0, None, {}
        watcher.on_state(state)
    state.nets.train_only(())
    return state.nets


def _is_bad(phase: Phase, state: FitState, problem: Problem, parameters: list[nn.Parameter]) -> bool:
    """Look at what a phase ends with; where it is bad, go back to the phase's beginning, or raise FitError."""
    trouble, advice = find_damage(parameters, state.optimiser), ADVICE
    if trouble is None and phase.kind == "factorise":
        trouble, advice = find_collapse(state.nets, problem), SHAPE_ADVICE
    if trouble is None:
        return False
    return recover(state, trouble, phase.kind, phase.title, parameters, at_end=True, advice=advice)


def _step(phase: Phase, problem: Problem, state: FitState) -> Callable[[], dict[str, Tensor]]:
    """What one iteration of a phase computes; what the phase leaves fixed is computed here."""
    if phase.kind == "prior":
        return PriorStep(problem, state.nets).loss
    if phase.kind == "albedo":
        return AlbedoStep(problem, state.nets, phase.mirror).loss
    if phase.kind == "project":
        project = ProjectStep(problem, state.nets, phase.samples)
        return lambda: project.descend(state.generator)
    if phase.kind == "collect":
        if state.iteration == 0:
            state.collected = []
        collecting = ProjectStep(problem, state.nets, phase.samples)

        def collect() -> dict[str, Tensor]:
            state.collected.append(collecting.collect(state.generator).cpu())
            return {}

        return collect
    photos = len(problem.photo)
    if phase.samples == 0:
        state.collected = []  # of a stage before
        alone = FactoriseStep(problem, state.nets, problem.photo.new_zeros(0, *problem.photo.shape), 0, phase.mirror)
        return lambda: alone.descend(state.generator)
    # [batches, photos * Np] to [batches * Np, photos]: what a photo's samples are drawn from.
    kept = torch.stack(state.collected)
    kept = kept.unflatten(1, (photos, -1)).transpose(1, 2).flatten(0, 1)
    factorise = FactoriseStep(problem, state.nets, kept, phase.samples, phase.mirror)
    return lambda: factorise.descend(state.generator)


def _check(values: dict[str, float], phase: Phase, iteration: int) -> None:
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise FitError(
            f"The loss '{broken[0]}' became {values[broken[0]]} in {phase.title}, iteration {iteration + 1}; "
            "try a lower --lr, another --seed or --precision fp32."
        )
