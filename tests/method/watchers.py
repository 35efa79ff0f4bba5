"""Those who watch a fit, and what they compare."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import torch
from safetensors.torch import load, save
from torch import Tensor

from bozzetto.method.instance import Event, fit, moves_at, new_state
from bozzetto.method.problem import Problem, Turned
from bozzetto.method.state import FitState


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Names of the tensors that are not bit for bit the same."""
    assert one.keys() == other.keys()
    return {key for key in one if not torch.equal(one[key], other[key])}


def one_photo(problem: Problem, i: int) -> Problem:
    """The same problem with one of its photos alone."""
    here = slice(i, i + 1)
    prior = None if problem.prior is None else problem.prior[here]
    turned = problem.turned
    if turned is not None:
        turned = Turned(turned.images[:, here], turned.view[:, here], turned.light[:, here])
    return replace(
        problem,
        photo=problem.photo[here],
        mask=problem.mask[here],
        latent=problem.latent[here],
        prior=prior,
        turned=turned,
    )


class Recorder:
    """Keeps every event, and where every state stood."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.positions: list[tuple[int, int]] = []  # phase, iteration

    def on_iteration(self, event: Event) -> None:
        self.events.append(event)

    def on_state(self, state: FitState) -> None:
        self.positions.append((state.phase, state.iteration))


class Boundaries(Recorder):
    """Keeps which tensors each phase changed; and two states as they were taken, with copies made at once."""

    def __init__(self, before: FitState) -> None:
        super().__init__()
        self.before = {key: value.clone() for key, value in before.nets.state().items()}
        self.changed: list[set[str]] = []
        self.kept: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def on_state(self, state: FitState) -> None:
        super().on_state(state)
        if state.iteration == 0:
            after = {key: value.clone() for key, value in state.nets.state().items()}
            self.changed.append(differing(self.before, after))
            self.before = after
        elif state.phase in (1, 4):
            saved = state.tensors()
            self.kept.append((saved, {key: value.clone() for key, value in saved.items()}))


class Enough(Exception):
    """Stops a fit."""


class OneIteration(Recorder):
    def on_state(self, state: FitState) -> None:
        raise Enough


class Twin(Recorder):
    """After every iteration: the state before it, written, read and resumed for one iteration, must be where we are."""

    def __init__(self, problem: Problem, state: FitState) -> None:
        super().__init__()
        self.problem = problem
        self.twin = new_state(problem, seed=99)  # must keep nothing of its own
        self.written = save(state.tensors())

    def on_state(self, state: FitState) -> None:
        super().on_state(state)
        before = load(self.written)
        config = self.problem.config
        moves = moves_at(self.problem, int(before["position"][0]))
        self.twin.restore(before, moves, config.optim, config.compute.fused_adam)
        with suppress(Enough):
            fit(self.problem, self.twin, OneIteration())
        here = state.tensors()
        assert not differing(here, self.twin.tensors()), self.positions[-1]
        self.written = save(here)
