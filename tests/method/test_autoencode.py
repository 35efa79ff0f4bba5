"""Photo-geometric autoencoding: what its losses are for objects whose factors are known exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bozzetto.config import FitConfig
from bozzetto.gan.generator import Gan
from bozzetto.geometry.render import render
from bozzetto.losses.smoothness import smoothness
from bozzetto.method.autoencode import autoencode_terms, batch_of, mirrored
from bozzetto.method.problem import Problem, predict
from bozzetto.method.sampling import SceneDistribution
from bozzetto.nets.networks import Networks, make_networks
from bozzetto.types import Camera, DepthRange, Factors

S = 16


class Says(nn.Module):
    """A network whose answer is known, whatever it is shown."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, image: Tensor) -> Tensor:
        return self.answer.expand(len(image), *self.answer.shape[1:])


def knows(albedo: Tensor, view: Tensor, lopsided: float = 0.0) -> Networks:
    """Networks that see a dome, even to both sides, with this albedo [1, 3, S, S] from this view."""
    ticks = torch.linspace(-1, 1, S)
    raw = 2 * (ticks[:, None] ** 2 + ticks[None] ** 2)[None, None] + lopsided * ticks.view(1, 1, 1, S)
    scale = torch.tensor([[*[torch.pi / 3] * 3, 0.1, 0.1, 1.0]])  # of a unit of V's
    light = torch.tensor([[-0.2, 0.2, 0.3, 0.4]])
    nets = make_networks(S, 8, torch.Generator().manual_seed(0), width=0.125)
    for name, answer in (("view", view / scale), ("light", light), ("depth", raw), ("albedo", albedo * 2 - 1)):
        getattr(nets, name).network = Says(answer)
    return nets


def even() -> Tensor:
    paint = torch.rand(1, 3, S, S, generator=torch.Generator().manual_seed(2))
    return (paint + paint.flip(3)) / 2


def problem_of(nets: Networks, gan: Gan) -> tuple[Problem, Factors]:
    """A problem whose photo is what these networks see, inside a mask in the middle."""
    mask = F.pad(torch.ones(1, 1, S - 8, S - 8), (4, 4, 4, 4))
    config = FitConfig(stages=())
    empty = Problem(
        torch.zeros(1, 3, S, S), mask, torch.zeros(1, 1, 1), None, gan, None, SceneDistribution(), Camera(S),
        DepthRange(), config,
    )  # fmt: skip
    factors = predict(nets, empty)
    return replace(empty, photo=render(factors, empty.camera).image.detach()), factors


TURNED = torch.tensor([[0.05, 0.4, 0.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("view", [torch.zeros(1, 6), TURNED], ids=["frontal", "turned"])
def test_an_object_that_is_even_explains_its_photo_with_either_side(view: Tensor, random_gan: Gan) -> None:
    nets = knows(even(), view)
    problem, factors = problem_of(nets, random_gan)
    terms = autoencode_terms(problem, nets, mirror_weight=0.5, smooth_depth_weight=3.0)
    assert float(terms["l1"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["mirror"]) == pytest.approx(0, abs=1e-5)
    assert float(terms["smooth_depth"]) == pytest.approx(3 * float(smoothness(factors.depth)), rel=1e-6)
    assert float(terms["total"]) == pytest.approx(sum(float(terms[k]) for k in terms if k != "total"), rel=1e-6)


@pytest.mark.parametrize("uneven", ["paint", "shape"])
def test_one_that_is_uneven_does_not(uneven: str, random_gan: Gan) -> None:
    """Its own side explains the photo still, the mirrored one fails; so unevenness costs, of paint or of form."""
    paint = even()
    if uneven == "paint":
        paint[..., : S // 2] *= 0.5
    nets = knows(paint, torch.zeros(1, 6), lopsided=0.8 if uneven == "shape" else 0.0)
    problem, _ = problem_of(nets, random_gan)
    terms = autoencode_terms(problem, nets, 0.5, 0.0)
    assert float(terms["l1"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["mirror"]) > 0.01
    twice = autoencode_terms(problem, nets, 1.0, 0.0)
    assert float(twice["mirror"]) == pytest.approx(2 * float(terms["mirror"]), rel=1e-6)


def test_what_lies_outside_the_mask_is_not_looked_at(random_gan: Gan) -> None:
    nets = knows(even(), TURNED)
    problem, _ = problem_of(nets, random_gan)
    other = torch.where(problem.mask > 0, problem.photo, torch.rand(problem.photo.shape))
    terms = autoencode_terms(replace(problem, photo=other), nets, 0.5, 0.0)
    assert float(terms["l1"]) == pytest.approx(0, abs=1e-6)


def test_a_mirrored_photo_with_the_mirrored_view_and_light_costs_the_same(random_gan: Gan) -> None:
    """The frame is as good to the one side as to the other: with all of it mirrored no term changes."""
    paint = even()
    paint[..., :5] *= 0.3
    nets = knows(paint, TURNED)
    problem, _ = problem_of(nets, random_gan)
    problem = replace(problem, photo=(problem.photo + 0.1).clamp(0, 1))
    there = knows(paint.flip(3), TURNED * torch.tensor([1.0, -1.0, -1.0, -1.0, 1.0, 1.0]))
    there.light.network.answer.data[:, 2] *= -1
    back = replace(problem, photo=problem.photo.flip(3), mask=problem.mask.flip(3))
    one, other = autoencode_terms(problem, nets, 0.5, 1.0), autoencode_terms(back, there, 0.5, 1.0)
    for name, value in one.items():
        assert float(other[name]) == pytest.approx(float(value), rel=5e-3), name  # cells are cut along one diagonal


def test_gradients_reach_all_four_networks(random_gan: Gan) -> None:
    nets = knows(even(), TURNED)
    problem, _ = problem_of(nets, random_gan)
    problem = replace(problem, photo=problem.photo * 0.8)
    autoencode_terms(problem, nets, 0.5, 1.0)["total"].backward()
    for name in ("view", "light", "depth", "albedo"):
        gradient = getattr(nets, name).network.answer.grad
        assert gradient is not None, name
        assert float(gradient.abs().sum()) > 0, name


def test_a_batch_is_a_function_of_its_generator() -> None:
    one, other = (batch_of(1000, 64, torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    index, which = one
    assert int(index.min()) >= 0
    assert int(index.max()) < 1000
    assert 0 < int(which.sum()) < 64
    pictures = torch.rand(64, 3, 4, 4)
    seen = mirrored(pictures, which)
    assert torch.equal(mirrored(seen, which), pictures)
    assert torch.equal(seen[which], pictures[which].flip(3))
    assert torch.equal(seen[~which], pictures[~which])
