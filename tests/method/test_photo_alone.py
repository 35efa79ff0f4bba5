"""Step 3 without samples: the photo's own loss, and nothing of the generator but its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_problem import SHORT

from bozzetto.config import ComputeConfig, Stage
from bozzetto.errors import InputError
from bozzetto.inputs import check_fit
from bozzetto.method.instance import fit, new_state
from bozzetto.method.problem import Problem
from bozzetto.method.schedule import phases
from bozzetto.method.step3_factorise import FactoriseStep

ALONE = replace(SHORT, stages=(Stage(2, 0, 3, samples=0, mirror=True),))


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize("reuse", [True, False])
def test_its_loss_is_that_of_the_photo_among_samples(
    make_problem: Callable[..., Problem], chunk: int, reuse: bool
) -> None:
    compute = ComputeConfig(reuse=reuse, chunk=chunk)
    problem = make_problem(config=replace(ALONE, compute=compute))
    nets = new_state(problem, 0).nets
    some = torch.rand(4, 1, *problem.photo.shape[1:])
    among = FactoriseStep(problem, nets, some, 2, True).loss(torch.Generator().manual_seed(0))
    alone = FactoriseStep(problem, nets, some[:0], 0, True).descend(torch.Generator().manual_seed(0))
    own = {name: value for name, value in among.items() if name.startswith("photo_")}
    assert {"photo_l1", "photo_perceptual", "photo_smooth_depth", "photo_smooth_light"} == set(own)
    assert set(alone) == {"total", *own}
    for name, value in own.items():
        assert torch.equal(alone[name], value), name
    assert float(alone["total"]) == pytest.approx(sum(map(float, own.values())), rel=1e-6)


def test_a_fit_of_it_draws_and_collects_nothing(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(config=ALONE)
    assert [row.kind for row in phases(ALONE, True)] == ["prior", "albedo", "factorise"]
    state = new_state(problem, 0)
    before = state.generator.get_state()
    offset = {name: value.clone() for name, value in state.nets.offset.state_dict().items()}
    depth = next(state.nets.depth.parameters()).clone()
    fit(problem, state)
    assert torch.equal(state.generator.get_state(), before)
    assert state.collected == []
    assert all(torch.equal(value, offset[name]) for name, value in state.nets.offset.state_dict().items())
    assert not torch.equal(next(state.nets.depth.parameters()), depth)


def test_step_2_cannot_do_without_samples(make_problem: Callable[..., Problem]) -> None:
    info = make_problem().gan.info
    check_fit(replace(ALONE, project=replace(ALONE.project, tail_layers=1)), info)
    for stage in (Stage(1, 1, 1, samples=0), Stage(1, 0, 1, samples=-1)):
        with pytest.raises(InputError, match=r"samples cannot be|needs samples"):
            check_fit(replace(ALONE, stages=(stage,)), info)
