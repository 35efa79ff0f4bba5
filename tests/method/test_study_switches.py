"""Two switches that studies need: a seed of the initial weights alone, and photos that count in a joint step 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from tiny_problem import SHORT
from torch import Tensor

from bozzetto.config import GeneralConfig, Round
from bozzetto.method import instance
from bozzetto.method.joint import JointEvent, JointFit, JointState, new_joint_state
from bozzetto.method.problem import Problem

MakeProblem = Callable[..., Problem]


def weights(problem: Problem, seed: int) -> Tensor:
    state = instance.new_state(problem, seed)
    return torch.cat([value.flatten() for value in state.nets.state().values()])


def draws(problem: Problem, seed: int) -> Tensor:
    return torch.rand(8, generator=instance.new_state(problem, seed).generator)


def test_the_seed_of_the_weights_is_its_own(make_problem: MakeProblem) -> None:
    problem = make_problem(1, SHORT)
    nets = problem.config.nets
    fixed = replace(problem, config=replace(problem.config, nets=replace(nets, seed=7)))
    other = replace(problem, config=replace(problem.config, nets=replace(nets, seed=8)))
    assert torch.equal(weights(fixed, 0), weights(fixed, 1))
    assert not torch.equal(weights(fixed, 0), weights(other, 0))
    assert not torch.equal(draws(fixed, 0), draws(fixed, 1))
    assert torch.equal(draws(fixed, 0), draws(other, 0))
    assert torch.equal(weights(fixed, 0), weights(problem, 7))


class Nothing:
    def on_iteration(self, event: JointEvent) -> None:
        return None

    def on_state(self, state: JointState) -> None:
        return None

    def on_overwriting(self, state: JointState) -> None:
        return None

    def validate(self, state: JointState, epoch: int) -> float | None:
        return None


def trained(problem: Problem, count: int | None) -> dict[str, Tensor]:
    config = GeneralConfig(
        rounds=(Round(1, 1, 0, 0, samples=1),), fit=problem.config, batch=2, prior_epochs=0, albedo_photos=count
    )
    state = new_joint_state(problem, 0)
    JointFit(problem, config, 0).run(state, Nothing())
    return {name: value.clone() for name, value in state.nets.state().items()}


def test_photos_that_do_not_count_change_nothing(make_problem: MakeProblem) -> None:
    """With one of two photos counting, the step is that of a training on this photo alone, whichever comes first."""
    both = make_problem(2, replace(SHORT, stages=()))
    alone = [trained(both.take(torch.tensor([i])), None) for i in (0, 1)]
    first = trained(both, 1)
    same = [all(torch.allclose(first[name], one[name], atol=1e-6) for name in first) for one in alone]
    assert any(same)
    assert not any(all(torch.equal(trained(both, None)[name], one[name]) for name in one) for one in alone)
    assert all(torch.equal(trained(both, 2)[name], value) for name, value in trained(both, None).items())
