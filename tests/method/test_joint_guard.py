"""Faults in the numbers of a joint training: a bad step is left out, damaged networks go back; resumed bit for bit."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from tiny_problem import SHORT
from torch import Tensor

from bozzetto.config import GeneralConfig, Round
from bozzetto.errors import FitError
from bozzetto.method.joint import JointEvent, JointFit, JointState, new_joint_state
from bozzetto.method.problem import Problem

MakeProblem = Callable[..., Problem]
Damage = Callable[[JointState], None]
SCHEDULE = GeneralConfig(
    (Round(1, 2, 2, 3, samples=2, visit="all", mirror=True),), replace(SHORT, stages=()), batch=2, prior_epochs=2
)


class Stop(Exception):
    """Stops a training."""


class Watch:
    """Breaks what it is told to before an iteration of a phase; may keep the state as a file would, and stop."""

    def __init__(
        self, damage: Callable[[JointState], None], phase: int, stop_at: int = 0, always: bool = False
    ) -> None:
        self.damage, self.phase, self.stop_at, self.always = damage, phase, stop_at, always
        self.events: list[JointEvent] = []
        self.kept = b""
        self.calls = 0

    def on_iteration(self, event: JointEvent) -> None:
        self.events.append(event)

    def on_state(self, state: JointState) -> None:
        if (state.phase, state.iteration) == (self.phase, 1) and (self.always or not state.went_back):
            self.damage(state)
        self.calls += 1
        if self.calls == self.stop_at:
            self.kept = save({name: value.contiguous() for name, value in state.tensors().items()})
            raise Stop

    def on_overwriting(self, state: JointState) -> None:
        return None

    def validate(self, state: JointState, epoch: int) -> float | None:
        return None


def bad_weights(state: JointState) -> None:
    with torch.no_grad():
        for _, net in state.nets:
            for one in net.parameters():
                if one.requires_grad:
                    one[(0,) * one.ndim] = math.nan


def bad_moments(state: JointState) -> None:
    for moments in state.optimisers["albedo"].state.values():
        moments["exp_avg_sq"].fill_(math.inf)


def nothing(state: JointState) -> None:
    return None


@pytest.fixture(scope="module")
def problem(make_problem: MakeProblem) -> Problem:
    return make_problem(3, SCHEDULE.fit)


def run(problem: Problem, watch: Watch, folder: Path, state: JointState | None = None) -> JointState:
    state = state or new_joint_state(problem, 0)
    JointFit(problem, SCHEDULE, 0, folder).run(state, watch)
    return state


def whole(state: JointState) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.tensors().items()}


@pytest.mark.parametrize("phase", [0, 1, 2, 4])
def test_damaged_networks_go_back_to_where_the_phase_began(
    phase: int, problem: Problem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(bad_weights, phase)
    with caplog.at_level(logging.WARNING, "bozzetto"):
        state = run(problem, watch, tmp_path)
    assert len(caplog.messages) == 1
    assert "the networks go back to where" in caplog.messages[0]
    assert state.rate == pytest.approx(0.1)
    assert all(bool(value.isfinite().all()) for value in state.nets.state().values())
    done = [event.done for event in watch.events]
    total = watch.events[0].total
    assert set(done) == set(range(1, total + 1))
    assert len(done) == total + 1  # one iteration is done again


def test_infinite_moments_are_seen_at_the_phases_end(problem: Problem, tmp_path: Path) -> None:
    state = run(problem, Watch(bad_moments, 1), tmp_path)
    assert state.went_back
    moments = [value for one in state.optimisers.values() for row in one.state.values() for value in row.values()]
    assert all(bool(value.isfinite().all()) for value in moments)


def test_a_bad_step_is_left_out(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = JointFit._terms

    def broken(fit: JointFit, part: Problem, nets: object, phase: object, *rest: object) -> dict[str, Tensor]:
        terms = real(fit, part, nets, phase, *rest)  # type: ignore[arg-type]
        due = (here.phase, here.iteration) == (1, 0)
        return {**terms, "total": terms["total"] * math.nan} if due else terms

    monkeypatch.setattr(JointFit, "_terms", broken)
    here = new_joint_state(problem, 0)
    watch = Watch(nothing, -1)
    with caplog.at_level(logging.WARNING, "bozzetto"):
        run(problem, watch, tmp_path, here)
    assert "epoch 1 albedo, iteration 1; the step is not taken" in caplog.messages[0]
    total = watch.events[0].total
    assert [event.done for event in watch.events] == [i for i in range(1, total + 1) if i != 5]
    assert here.rate == pytest.approx(0.1)
    assert not here.went_back


def test_damage_that_comes_again_ends_the_training(problem: Problem, tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"epoch 1 albedo, iteration 2, and again with a tenth of the rate; try a lower"):
        run(problem, Watch(bad_weights, 1, always=True), tmp_path)


@pytest.mark.parametrize("stop_at", [3, 5, 6, 7, 8, 9])
def test_a_training_that_went_back_resumes_bit_for_bit(stop_at: int, problem: Problem, tmp_path: Path) -> None:
    """Stopped before the damage, right after it, when it has gone back, and later."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    expected = whole(run(problem, Watch(bad_weights, 1), one))
    stopped = Watch(bad_weights, 1, stop_at)
    with pytest.raises(Stop):
        run(problem, stopped, two)
    again = new_joint_state(problem, 7)
    again.restore(load(stopped.kept), problem)
    found = whole(run(problem, Watch(bad_weights, 1), two, again))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
