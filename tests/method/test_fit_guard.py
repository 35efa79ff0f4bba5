"""Faults in the numbers of a fit: a bad step is not taken, the fit goes on slower once; else it says what to try."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import pytest
import torch
from tiny_problem import SHORT
from torch import Tensor
from watchers import Recorder, differing

from bozzetto.errors import FitError
from bozzetto.method import instance
from bozzetto.method.guard import LOWER_RATE, check_shape
from bozzetto.method.instance import fit, moves_at, new_state
from bozzetto.method.problem import Problem
from bozzetto.method.schedule import Phase
from bozzetto.method.state import FitState
from bozzetto.types import DepthRange

MakeProblem = Callable[..., Problem]
Step = Callable[[], dict[str, Tensor]]


@pytest.fixture(scope="module")
def problem(make_problem: MakeProblem) -> Problem:
    return make_problem(config=SHORT)


class Undefined(torch.autograd.Function):
    """The value itself, whose gradient is NaN."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient * math.nan


FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "a loss that is NaN": lambda total: total * math.nan,
    "a loss that is infinite": lambda total: total + math.inf,
    "a gradient that is NaN": lambda total: Undefined.apply(total),
}


def inject(patch: pytest.MonkeyPatch, fault: Callable[[Tensor], Tensor], phase: int, always: bool = False) -> None:
    """Break the second iteration of a phase, the first time or every time that it is tried."""
    real = instance._step

    def broken(row: Phase, problem: Problem, state: FitState) -> Step:
        compute = real(row, problem, state)

        def step() -> dict[str, Tensor]:
            terms = compute()
            due = (state.phase, state.iteration) == (phase, 1) and (always or state.rate == 1)
            return {**terms, "total": fault(terms["total"])} if due else terms

        return step

    patch.setattr(instance, "_step", broken)


def run(problem: Problem) -> dict[str, Tensor]:
    state = new_state(problem, 0)
    fit(problem, state, Recorder())
    return state.tensors()


@pytest.mark.parametrize("phase", [0, 1, 2, 4])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_bad_step_is_not_taken_and_the_fit_goes_on_slower(
    fault: str, phase: int, problem: Problem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inject(monkeypatch, FAULTS[fault], phase)
    with caplog.at_level(logging.WARNING, "bozzetto"):
        state = run(problem)
    assert float(state["rate"]) == LOWER_RATE
    assert all(bool(value.isfinite().all()) for value in state.values())
    assert len(caplog.messages) == 1
    assert "iteration 2; the step is not taken" in caplog.messages[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_pass_fails_and_says_what_to_try(
    fault: str, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, FAULTS[fault], 1, always=True)
    with pytest.raises(FitError, match=r"stage 1 albedo, iteration 2, and again .*try a lower --lr"):
        run(problem)


class Stop(Exception):
    pass


class Stopper(Recorder):
    """Keeps the state after so many calls, and stops."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls, self.kept = calls, {}

    def on_state(self, state: FitState) -> None:
        self.calls -= 1
        if self.calls == 0:
            self.kept = state.tensors()
            raise Stop


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5, 8])
def test_a_fit_that_stepped_back_resumes_bit_for_bit(
    calls: int, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, FAULTS["a gradient that is NaN"], 1)
    whole, stopper = run(problem), Stopper(calls)
    with pytest.raises(Stop):
        fit(problem, new_state(problem, 0), stopper)
    again = new_state(problem, 5)
    moves = moves_at(problem, int(stopper.kept["position"][0]))
    again.restore(stopper.kept, moves, problem.config.optim, problem.config.compute.fused_adam)
    fit(problem, again, Recorder())
    assert differing(whole, again.tensors()) == set()


def test_a_fit_without_faults_is_the_same_unguarded(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = run(problem)
    monkeypatch.setattr(instance, "find_trouble", lambda terms, parameters: None)
    assert "rate" not in guarded
    assert differing(guarded, run(problem)) == set()


def test_a_collapsed_depth_is_told_from_a_shape() -> None:
    limits, mask = DepthRange(), torch.ones(1, 8, 8)
    shape = torch.linspace(0.92, 1.08, 64).view(1, 8, 8)
    check_shape(shape, mask, limits)
    check_shape(torch.full((1, 8, 8), 0.97), mask, limits)  # flat, but not at an end
    check_shape(torch.full((1, 8, 8), 1.1), torch.zeros(1, 8, 8), limits)  # no object: nothing to say
    for name, end in (("near", 0.9), ("far", 1.1)):
        with pytest.raises(FitError, match=rf"100 % of the object lies at the {name} end .*try another --seed"):
            check_shape(torch.full((1, 8, 8), end), mask, limits)
    with pytest.raises(FitError, match="not finite"):
        check_shape(shape * math.nan, mask, limits)
