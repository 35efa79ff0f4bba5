"""An iteration in chunks of its samples has the losses and the gradient of the whole one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_problem import EVERYTHING, SHORT
from torch import Tensor
from watchers import Recorder

from bozzetto.config import ComputeConfig, FitConfig
from bozzetto.method.chunks import pieces
from bozzetto.method.instance import fit, moves, new_state
from bozzetto.method.problem import Problem
from bozzetto.method.step2_project import ProjectStep
from bozzetto.method.step3_factorise import FactoriseStep
from bozzetto.nets.networks import Networks

MakeProblem = Callable[..., Problem]
FP32 = ComputeConfig()
CONFIGS = {
    "papers": SHORT,
    "papers, nothing kept": replace(SHORT, compute=replace(FP32, reuse=False)),
    "ours in float32": replace(EVERYTHING, compute=FP32),
    "ours in bfloat16": EVERYTHING,
}
# Of the gradient's length. A bfloat16 has 8 bits, and every chunk's gradient of a convolution is rounded to them.
TOLERANCE = {"fp32": 1e-6, "bf16": 5e-3}
SAMPLES = 4


def chunked(config: FitConfig, chunk: int) -> FitConfig:
    return replace(config, compute=replace(config.compute, chunk=chunk))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nets_of(problem: Problem) -> Networks:
    """Networks whose depth is not flat, so that views and lights matter."""
    nets = new_state(problem, 0).nets
    last = list(nets.depth.parameters())[-1]
    last.data *= 8
    return nets


def descend(kind: str, problem: Problem, nets: Networks) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses of one iteration, and the gradient of each network that it moves."""
    moving = moves(problem, kind)  # type: ignore[arg-type]
    nets.train_only(moving)
    for parameter in nets.parameters(moving):
        parameter.grad = None
    if kind == "project":
        terms = ProjectStep(problem, nets, SAMPLES).descend(seeded(4))
    else:
        kept = torch.rand((6, len(problem.photo), 3, 16, 16), generator=seeded(1))
        terms = FactoriseStep(problem, nets, kept, SAMPLES, mirror=True).descend(seeded(4))
    assert terms["total"].requires_grad == (problem.config.compute.chunk == 0)
    if terms["total"].requires_grad:
        terms["total"].backward()
    gradients = {
        name: torch.cat([p.grad.flatten() for p in nets.parameters((name,)) if p.grad is not None]) for name in moving
    }
    return {name: float(value.detach()) for name, value in terms.items()}, gradients


@pytest.mark.parametrize(("photos", "chunk"), [(1, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["project", "factorise"])
@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_gradients_are_those_of_the_whole(
    name: str, kind: str, photos: int, chunk: int, make_problem: MakeProblem
) -> None:
    config = CONFIGS[name]
    tolerance = TOLERANCE[config.compute.precision]
    problem = make_problem(photos, config)
    nets = nets_of(problem)
    losses, gradients = descend(kind, problem, nets)
    found, parts = descend(kind, replace(problem, config=chunked(config, chunk)), nets)
    assert list(found) == list(losses)
    assert found == pytest.approx(losses, rel=max(tolerance, 1e-5))
    for network, whole in gradients.items():
        assert whole.norm() > 0, network
        assert (parts[network] - whole).norm() <= tolerance * whole.norm(), network


@pytest.mark.parametrize("name", ["papers", "ours in float32"])
def test_collected_samples_are_the_same(name: str, make_problem: MakeProblem) -> None:
    problem = make_problem(2, CONFIGS[name])
    nets = nets_of(problem)
    whole = ProjectStep(problem, nets, SAMPLES).collect(seeded(4))
    parts = ProjectStep(replace(problem, config=chunked(problem.config, 3)), nets, SAMPLES).collect(seeded(4))
    torch.testing.assert_close(parts, whole, rtol=0, atol=2e-6)


def test_a_fit_in_chunks_walks_the_same_schedule_and_draws_the_same_numbers(make_problem: MakeProblem) -> None:
    problem = make_problem(config=SHORT)
    states, told = [], []
    for config in (SHORT, chunked(SHORT, 1)):
        state, recorder = new_state(problem, 0), Recorder()
        fit(replace(problem, config=config), state, recorder)
        states.append(state)
        told.append([(e.phase.title, e.iteration, sorted(e.terms)) for e in recorder.events])
    assert told[0] == told[1]
    assert torch.equal(states[0].generator.get_state(), states[1].generator.get_state())
    one, other = (state.nets.state() for state in states)
    # Adam divides a gradient by its own size: the sign of one near 0 may differ, and a step is that of the rate.
    steps = 6
    for name, value in one.items():
        assert (value - other[name]).abs().max() <= 2 * steps * SHORT.optim.lr, name
    away = torch.cat([(value - other[name]).flatten() for name, value in one.items()])
    assert away.abs().mean() < 0.1 * SHORT.optim.lr


def test_a_chunk_that_holds_everything_changes_no_bit(make_problem: MakeProblem) -> None:
    problem = make_problem(config=SHORT)
    found = []
    for config in (SHORT, chunked(SHORT, 3)):  # its stages have 2 and 3 samples
        state = new_state(problem, 0)
        fit(replace(problem, config=config), state)
        found.append(state.nets.state())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_features_that_are_not_kept_change_no_bit(make_problem: MakeProblem) -> None:
    problem = make_problem(config=SHORT)
    found = []
    for config in (SHORT, replace(SHORT, compute=replace(FP32, keep_mb=0))):
        state = new_state(problem, 0)
        fit(replace(problem, config=config), state)
        found.append(state.nets.state())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize(("count", "chunk", "sizes"), [(5, 2, [2, 2, 1]), (4, 0, [4]), (3, 8, [3]), (4, 4, [4])])
def test_pieces_cover_everything_once(count: int, chunk: int, sizes: list[int]) -> None:
    slices = list(pieces(count, chunk))
    assert [part.stop - part.start for part in slices] == sizes
    assert [i for part in slices for i in range(part.start, part.stop)] == list(range(count))
