"""Faults in the numbers of a fit: a bad step is not taken, the fit goes on slower once; damaged networks
go back to where the phase began, once; else it says what to try."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from safetensors.torch import load, save
from tiny_problem import SHORT
from torch import Tensor
from watchers import Recorder, differing

from bozzetto.errors import FitError
from bozzetto.method import instance
from bozzetto.method.guard import LOWER_RATE, check_shape, find_collapse
from bozzetto.method.instance import fit, moves_at, new_state
from bozzetto.method.problem import Problem, door
from bozzetto.method.schedule import Phase
from bozzetto.method.state import FitState
from bozzetto.types import DepthRange

MakeProblem = Callable[..., Problem]
Step = Callable[[], dict[str, Tensor]]


PROBLEM: list[Problem] = []


@pytest.fixture(scope="module")
def problem(make_problem: MakeProblem) -> Problem:
    PROBLEM[:] = [make_problem(config=SHORT)]
    return PROBLEM[0]


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


def inject(patch: pytest.MonkeyPatch, fault: Callable[[Tensor], Tensor], phase: int, times: int = 1) -> None:
    """Break the second iteration of a phase, the first so many times that it is tried."""
    real = instance._step

    def broken(row: Phase, problem: Problem, state: FitState) -> Step:
        compute = real(row, problem, state)

        def step() -> dict[str, Tensor]:
            terms = compute()
            due = (state.phase, state.iteration) == (phase, 1) and state.rate > 0.5 * LOWER_RATE ** (times - 1)
            return {**terms, "total": fault(terms["total"])} if due else terms

        return step

    patch.setattr(instance, "_step", broken)


def run(problem: Problem, watcher: Recorder | None = None) -> dict[str, Tensor]:
    state = new_state(problem, 0)
    fit(problem, state, watcher or Recorder())
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
    assert "went_back" not in state
    assert all(bool(value.isfinite().all()) for value in state.values())
    assert len(caplog.messages) == 1
    assert "iteration 2; the step is not taken" in caplog.messages[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_comes_again_sends_the_networks_back_to_where_the_phase_began(
    fault: str, problem: Problem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inject(monkeypatch, FAULTS[fault], 1, times=2)
    recorder = Recorder()
    with caplog.at_level(logging.WARNING, "bozzetto"):
        state = run(problem, recorder)
    assert float(state["rate"]) == pytest.approx(LOWER_RATE**2)
    assert len(caplog.messages) == 2
    assert "back to where stage 1 albedo began, and the fit goes on with a hundredth of the rate" in caplog.messages[1]
    done = [event.done for event in recorder.events]
    assert done == [1, 2, 3, *range(3, recorder.events[0].total + 1)]  # the phase's first iteration once more


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_pass_fails_and_says_what_to_try(
    fault: str, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, FAULTS[fault], 1, times=3)
    with pytest.raises(FitError, match=r"stage 1 albedo, iteration 2, and again with a hundredth .*try a lower --lr"):
        run(problem)


def test_a_gradient_whose_square_overflows_is_not_taken(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Adam's second moment would be infinite ever after, and its weight never move again."""
    inject(monkeypatch, lambda total: total * 1e30, 1)
    with caplog.at_level(logging.WARNING, "bozzetto"):
        state = run(problem)
    assert "A gradient became too large in stage 1 albedo" in caplog.messages[0]
    assert all(bool(value.isfinite().all()) for value in state.values())


def bad_weights(state: FitState) -> None:
    with torch.no_grad():
        for name in ("albedo", "depth", "view", "offset"):
            for one in state.nets.parameters((name,)):
                if one.requires_grad:
                    one[(0,) * one.ndim] = math.nan


def bad_moments(state: FitState) -> None:
    assert state.optimiser is not None
    for moments in state.optimiser.state.values():
        moments["exp_avg_sq"].fill_(math.inf)


@lru_cache(maxsize=1)
def collapsed_weights() -> dict[str, Tensor]:
    """A depth network that has learned to put the object of the tests at the near end."""
    (problem,) = PROBLEM
    nets = new_state(problem, 0).nets
    nets.train_only(("depth",))
    aim = torch.where(problem.mask > 0.3, problem.depth_range.near, problem.depth_range.far)
    adam = torch.optim.Adam(nets.parameters(("depth",)), lr=3e-3)
    for _ in range(500):
        adam.zero_grad()
        raw = nets.depth(door(problem.photo))
        wanted = 12 * (aim - problem.depth_range.middle) / problem.depth_range.half
        (raw - wanted).square().mean().backward()  # type: ignore[no-untyped-call]
        adam.step()
        if find_collapse(nets, problem):
            return {name: value.detach().clone() for name, value in nets.depth.state_dict().items()}
    raise AssertionError("the depth did not collapse")


def collapsed(state: FitState) -> None:
    state.nets.depth.load_state_dict(collapsed_weights())


Damage = Callable[[FitState], None]
DAMAGES: dict[str, tuple[Damage, int, str]] = {  # what is done, in which phase, what is said
    "a weight that is NaN, in step 0": (bad_weights, 0, "in prior, iteration 2; the networks go back"),
    "a weight that is NaN, in step 1": (bad_weights, 1, "in stage 1 albedo, iteration 2; the networks go back"),
    "a weight that is NaN, in step 2": (bad_weights, 2, "in stage 1 project, iteration 2; the networks go back"),
    "a weight that is NaN, in step 3": (bad_weights, 4, "in stage 1 factorise, iteration 2; the networks go back"),
    "moments that are infinite": (bad_moments, 1, "moments became infinite or undefined in stage 1 albedo"),
    "a depth at the near end": (
        collapsed,
        4,
        "near end of the depth range (0.9) in stage 1 factorise",
    ),
}


class Damager(Recorder):
    """Does damage after the first iteration of a phase, once or every time."""

    def __init__(self, name: str, always: bool = False) -> None:
        super().__init__()
        self.damage, self.phase, self.said = DAMAGES[name]
        self.always, self.done = always, False

    def on_state(self, state: FitState) -> None:
        super().on_state(state)
        if (state.phase, state.iteration) == (self.phase, 1) and (self.always or not state.went_back):
            self.damage(state)


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_networks_go_back_to_where_the_phase_began(
    name: str, problem: Problem, caplog: pytest.LogCaptureFixture
) -> None:
    damager = Damager(name)
    with caplog.at_level(logging.WARNING, "bozzetto"):
        state = run(problem, damager)
    assert len(caplog.messages) == 1, caplog.messages
    assert damager.said in caplog.messages[0]
    assert float(state["rate"]) == LOWER_RATE
    assert all(bool(value.isfinite().all()) for value in state.values())


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_that_comes_again_ends_the_fit(name: str, problem: Problem) -> None:
    with pytest.raises(FitError, match=r"and again with a tenth of the rate; try"):
        run(problem, Damager(name, always=True))


def test_going_back_is_to_the_very_weights_and_a_tenth_of_the_rate(problem: Problem) -> None:
    """As though step 0 had been done at a tenth of the rate from the beginning."""
    slow = replace(SHORT.optim, prior_lr=SHORT.optim.prior_lr * LOWER_RATE)
    other = replace(problem, config=replace(SHORT, optim=slow, stages=()))
    one = run(replace(problem, config=replace(SHORT, stages=())), Damager("a weight that is NaN, in step 0"))
    two = run(other)
    one.pop("rate"), one.pop("went_back")
    assert differing(one, two) == set()


class Stop(Exception):
    pass


class Stopper(Damager):
    """Keeps the state as a file would after so many calls, and stops; does damage, too."""

    def __init__(self, calls: int, name: str | None) -> None:
        super().__init__(name or next(iter(DAMAGES)))
        if name is None:
            self.phase = -1
        self.calls, self.kept = calls, b""

    def on_state(self, state: FitState) -> None:
        super().on_state(state)
        self.calls -= 1
        if self.calls == 0:
            self.kept = save(state.tensors())
            raise Stop


def check_resumed(problem: Problem, calls: int, name: str | None) -> None:
    whole = run(problem, Stopper(0, name))
    stopper = Stopper(calls, name)
    with pytest.raises(Stop):
        fit(problem, new_state(problem, 0), stopper)
    kept, again = load(stopper.kept), new_state(problem, 5)
    moves = moves_at(problem, int(kept["position"][0]))
    again.restore(kept, moves, problem.config.optim, problem.config.compute.fused_adam)
    fit(problem, again, Stopper(0, name))
    assert differing(whole, again.tensors()) == set()


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5, 8])
def test_a_fit_that_left_out_a_step_resumes_bit_for_bit(
    calls: int, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, FAULTS["a gradient that is NaN"], 1)
    check_resumed(problem, calls, None)


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        *[("a weight that is NaN, in step 1", calls) for calls in (2, 3, 4, 5, 8)],
        *[("moments that are infinite", calls) for calls in (3, 4)],
        *[("a depth at the near end", calls) for calls in (8, 9, 10, 11)],
    ],
)
def test_a_fit_that_went_back_resumes_bit_for_bit(name: str, calls: int, problem: Problem) -> None:
    """Stopped before the damage, right after it, when it has gone back, and later."""
    check_resumed(problem, calls, name)


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
