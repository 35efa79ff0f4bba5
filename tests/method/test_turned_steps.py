"""What the steps do with pictures whose view and light are known, and with the prior after step 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_steps import assert_mean_of_photos, gradient, seeded, with_loss
from tiny_problem import SHORT, SIZE, some_turned
from torch import Tensor

from bozzetto.config import ProjectConfig, TurnConfig
from bozzetto.method.initialise import PriorStep, known_error, turned_error
from bozzetto.method.instance import new_state
from bozzetto.method.problem import Problem, predict, predict_depth, predict_light, predict_view
from bozzetto.method.step2_project import ProjectStep
from bozzetto.method.step3_factorise import FactoriseStep
from bozzetto.nets.networks import Networks

MakeProblem = Callable[..., Problem]
TURNING = replace(SHORT, turn=TurnConfig(use=True, weight=3.0, share=0.5), project=ProjectConfig(teach=True))


@pytest.fixture(scope="module")
def nets(make_problem: MakeProblem) -> Networks:
    return new_state(make_problem(), 0).nets


@pytest.fixture(scope="module")
def problem(make_problem: MakeProblem) -> Problem:
    return make_problem(config=TURNING)


def with_config(problem: Problem, group: str, **changes: Any) -> Problem:
    config = problem.config
    return replace(problem, config=replace(config, **{group: replace(getattr(config, group), **changes)}))


# ---------------------------------------------------------------- the error itself


@torch.no_grad()
def test_what_the_networks_say_has_no_error_and_what_they_do_not_has_its_square(
    problem: Problem, nets: Networks
) -> None:
    images = torch.rand(4, 3, SIZE, SIZE, generator=seeded(1))
    view, light = predict_view(nets, images, problem), predict_light(nets, images, problem)
    assert known_error(nets, images, view, light, problem).item() == 0
    scale = problem.view_scale.factors(view)
    assert scale[5] == 0
    for i in range(6):
        other = view.clone()
        other[:, i] -= 0.05
        expected = 0.0 if i == 5 else (0.05 / scale[i].item()) ** 2 / 6  # V says nothing of the depth translation
        assert known_error(nets, images, other, light, problem).item() == pytest.approx(expected, rel=1e-3)
    for i, unit in enumerate((2, 2, 1, 1)):  # strengths are half of what L puts out
        other = light.clone()
        other[:, i] += 0.05
        assert known_error(nets, images, view, other, problem).item() == pytest.approx((0.05 * unit) ** 2 / 4, rel=1e-3)


@torch.no_grad()
def test_the_error_of_turned_pictures_is_the_mean_of_each_ones(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem(photos=2, config=TURNING)
    turned = some_turned(photos=2)
    singles = [
        known_error(nets, image[None], view[None], light[None], problem)
        for image, view, light in zip(
            turned.images.flatten(0, 1), turned.view.flatten(0, 1), turned.light.flatten(0, 1), strict=True
        )
    ]
    assert len(singles) == 6
    assert turned_error(nets, turned, problem).item() == pytest.approx(torch.stack(singles).mean().item(), rel=1e-5)


def test_known_views_and_lights_teach_v_and_l_alone(problem: Problem, nets: Networks) -> None:
    turned = some_turned(photos=1)
    names = ("view", "light", "depth", "albedo", "offset")
    nets.train_only(names)
    turned_error(nets, turned, problem).backward()
    for name, net in nets:
        moved = {parameter.grad is not None for parameter in net.parameters()}
        assert moved == {name in ("view", "light")}
        net.zero_grad(set_to_none=True)


# ---------------------------------------------------------------- step 0


def test_step_0_adds_what_is_known_and_teaches_the_depth_as_before(problem: Problem, nets: Networks) -> None:
    nets.train_only(("depth", "view", "light"))
    plain, step = PriorStep(replace(problem, turned=None), nets), PriorStep(problem, nets)
    before, terms = plain.loss(), step.loss()
    assert problem.turned is not None
    assert terms["known"].item() == turned_error(nets, problem.turned, problem).item() > 0
    assert terms["prior"].item() == before["prior"].item()
    assert terms["total"].item() == pytest.approx(before["total"].item() + terms["known"].item(), rel=1e-6)
    assert "known" not in before
    gradients = [gradient(nets, ("depth",), terms["total"]) for terms in (before, terms)]
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("step", [0, 3])
def test_every_photos_turned_pictures_teach(make_problem: MakeProblem, nets: Networks, step: int) -> None:
    """Loss and gradients of two photos are the means of theirs, with turned pictures too."""
    problem = with_config(make_problem(photos=2, config=TURNING), "turn", share=0.0)
    kept = torch.rand((1, 2, 3, SIZE, SIZE), generator=seeded(1))

    def step_3(p: Problem) -> dict[str, Tensor]:
        which = [torch.equal(p.photo[0], photo) for photo in problem.photo].index(True)
        own = kept if len(p.photo) == 2 else kept[:, which][:, None]
        return FactoriseStep(p, nets, own, 2, True).loss(seeded(0))

    if step == 0:
        assert_mean_of_photos(nets, problem, ("depth", "view", "light"), lambda p: PriorStep(p, nets).loss())
    else:
        assert_mean_of_photos(nets, problem, FactoriseStep.moves, step_3)


# ---------------------------------------------------------------- step 2


def test_step_2_teaches_the_drawn_views_and_lights_and_keeps_the_turned_ones(problem: Problem, nets: Networks) -> None:
    problem = with_config(problem, "project", teach_weight=0.7)
    step = ProjectStep(problem, nets, 3)
    with torch.no_grad():
        terms, pseudo = step.loss(seeded(4)), step.draw(seeded(4))
        known = known_error(nets, pseudo.images, pseudo.view, pseudo.light, problem)
        assert problem.turned is not None
        turned = turned_error(nets, problem.turned, problem)
    assert terms["teach"].item() == pytest.approx(0.7 * known.item(), rel=1e-5)
    assert terms["turned"].item() == pytest.approx(3.0 * turned.item(), rel=1e-5)
    own = {name: value.item() for name, value in terms.items() if name != "total"}
    assert terms["total"].item() == pytest.approx(sum(own.values()), rel=1e-5)
    with torch.no_grad():
        silent = ProjectStep(with_config(problem, "project", teach=False), nets, 3).loss(seeded(4))
        without = ProjectStep(replace(problem, turned=None), nets, 3).loss(seeded(4))
    assert set(silent) == set(own) - {"teach", "turned"} | {"total"}
    assert set(without) == set(own) - {"turned"} | {"total"}
    for name in set(silent) - {"total"}:
        assert silent[name].item() == own[name]


def test_teaching_leaves_the_offset_encoder_its_own_gradient(problem: Problem, nets: Networks) -> None:
    moves = ("offset", "view", "light")
    nets.train_only(moves)
    taught = gradient(nets, moves, ProjectStep(problem, nets, 2).loss(seeded(0))["total"])
    count = len(nets.parameters(("offset",)))
    silent = ProjectStep(with_config(problem, "project", teach=False), nets, 2).loss(seeded(0))["total"]
    alone = gradient(nets, ("offset",), silent)
    assert len(taught) == len(nets.parameters(moves))
    assert all(torch.equal(one, other) for one, other in zip(taught[:count], alone, strict=True))
    assert all(grad.abs().max() > 0 for grad in taught[count:])


def test_pseudo_images_follow_the_view_and_light_that_are_being_taught(problem: Problem) -> None:
    """The photo's own light and its mask in the canonical frame are those of now, not of the step's start."""
    nets = new_state(problem, 0).nets
    step = ProjectStep(problem, nets, 2)
    with torch.no_grad():
        for name in ("view", "light"):
            list(nets.parameters((name,)))[-1].mul_(3)
        found, fresh = step.draw(seeded(0)), ProjectStep(problem, nets, 2).draw(seeded(0))
        frozen = ProjectStep(with_config(problem, "project", teach=False), nets, 2)
    for one, other in zip(found, fresh, strict=True):
        assert torch.equal(one, other)
    assert frozen.fixed is not None
    assert torch.equal(frozen.fixed[0].view, predict(nets, problem).view)


# ---------------------------------------------------------------- step 3


@pytest.mark.parametrize(
    ("samples", "share", "expected"), [(8, 0.5, 4), (6, 0.25, 2), (10, 0.0, 0), (4, 1.0, 4), (3, 0.1, 0)]
)
def test_the_share_of_turned_pictures(
    make_problem: MakeProblem, nets: Networks, samples: int, share: float, expected: int
) -> None:
    """round(Np x share) of each photo's samples are its own turned pictures, in the end all of them."""
    problem = with_config(make_problem(photos=2, config=TURNING), "turn", share=share)
    assert problem.turned is not None
    flat = torch.ones(3, SIZE, SIZE)
    projected = torch.arange(10.0).view(5, 2)[:, :, None, None, None] * flat  # sample n of photo b is marked 2 n + b
    marks = 100 + torch.arange(6.0).view(3, 2)[:, :, None, None, None] * flat
    problem = replace(problem, turned=replace(problem.turned, images=marks))
    step, generator = FactoriseStep(problem, nets, projected, samples, False), seeded(0)
    seen = set()
    for _ in range(12):
        targets, item = step.draw(generator)
        assert item.tolist() == [0] * samples + [1] * samples
        mark = targets[:, 0, 0, 0].long()
        assert torch.equal(mark % 2, item)
        assert (mark.unflatten(0, (2, samples)) >= 100).sum(1).tolist() == [expected] * 2
        seen |= set(mark.tolist())
    assert {m for m in seen if m >= 100} == (set(range(100, 106)) if expected else set())
    assert {m for m in seen if m < 100} == (set(range(10)) if expected < samples else set())


def test_a_share_of_0_draws_as_if_there_were_no_turned_pictures(problem: Problem, nets: Networks) -> None:
    kept = torch.rand((5, 1, 3, SIZE, SIZE), generator=seeded(1))
    none = FactoriseStep(with_config(problem, "turn", share=0.0), nets, kept, 4, False)
    plain = FactoriseStep(replace(problem, turned=None), nets, kept, 4, False)
    assert torch.equal(none.draw(seeded(3))[0], plain.draw(seeded(3))[0])


def test_step_3_keeps_to_the_turned_pictures_and_to_the_prior(problem: Problem, nets: Networks) -> None:
    kept = torch.rand((2, 1, 3, SIZE, SIZE), generator=seeded(1))
    held = with_loss(problem, prior_weight=0.4)

    @torch.no_grad()
    def loss(p: Problem) -> dict[str, float]:
        return {name: v.item() for name, v in FactoriseStep(p, nets, kept, 4, True).loss(seeded(0)).items()}

    terms = loss(held)
    with torch.no_grad():
        assert held.turned is not None
        assert held.prior is not None
        turned = 3.0 * turned_error(nets, held.turned, held)
        # In half ranges: the near and the far end are 1 from the middle.
        away = (predict_depth(nets, held.photo, held) - held.prior) / 0.1
    assert terms["turned"] == pytest.approx(turned.item(), rel=1e-5)
    assert terms["prior"] == pytest.approx(0.4 * away.square().mean().item(), rel=1e-5)
    assert terms["total"] == pytest.approx(sum(v for name, v in terms.items() if name != "total"), rel=1e-5)
    free = loss(problem)
    assert "prior" not in free
    assert all(free[name] == terms[name] for name in free if name != "total")
    assert "prior" not in loss(replace(held, prior=None))
    assert "turned" not in loss(replace(held, turned=None))


def test_the_pull_to_the_prior_goes_to_the_depth_alone_and_towards_the_prior(problem: Problem) -> None:
    """A short walk along this term's gradient comes nearer to the prior."""
    nets, held = new_state(problem, 0).nets, with_loss(problem, prior_weight=1.0)
    kept = torch.rand((1, 1, 3, SIZE, SIZE), generator=seeded(1))
    nets.train_only(FactoriseStep.moves)
    before = FactoriseStep(held, nets, kept, 2, False).loss(seeded(0))["prior"]
    before.backward()
    for name in ("view", "light", "albedo"):
        assert all(parameter.grad is None for parameter in nets.parameters((name,)))
    with torch.no_grad():
        for parameter in nets.parameters(("depth",)):
            assert parameter.grad is not None
            parameter -= 1e-3 * parameter.grad / (parameter.grad.norm() + 1e-12)
        after = FactoriseStep(held, nets, kept, 2, False).loss(seeded(0))["prior"]
    assert after < before
