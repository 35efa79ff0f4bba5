"""What every perceptual distance owes, whichever network is behind it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan import Gan
from bozzetto.losses.discriminator import DiscriminatorFeatures
from bozzetto.losses.learned import LearnedDistance
from bozzetto.losses.perceptual import Perceptual
from bozzetto.losses.registry import make_perceptual
from bozzetto.losses.stlpips import make_stlpips
from bozzetto.losses.vgg16 import WIDTHS, HalvingPool, Vgg16

Case = tuple[Perceptual, int]  # and the side of the pictures it is tried on
needs_stlpips = pytest.mark.skipif(
    importlib.util.find_spec("stlpips_pytorch") is None, reason="needs the extra stlpips"
)


def rand(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def random_vgg() -> LearnedDistance:
    torch.manual_seed(0)
    heads = [torch.rand(width) for width in WIDTHS]
    trunk = Vgg16([HalvingPool() for _ in range(4)]).requires_grad_(False)
    return LearnedDistance("random", trunk, heads, min_size=16)


@pytest.fixture(
    params=["discriminator", "vgg", pytest.param("stlpips", marks=needs_stlpips)],
)
def case(request: pytest.FixtureRequest, random_gan: Gan, random_vgg: LearnedDistance) -> Case:
    made: dict[str, Callable[[], Case]] = {
        "discriminator": lambda: (DiscriminatorFeatures(random_gan), 16),
        "vgg": lambda: (random_vgg, 32),
        "stlpips": lambda: (make_stlpips(), 32),
    }
    return made[request.param]()


def pictures(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two predictions, two targets and soft masks."""
    return rand(2, 3, size, size, seed=0), rand(2, 3, size, size, seed=1), rand(2, 1, size, size, seed=2)


def test_it_is_what_the_protocol_says(case: Case) -> None:
    assert isinstance(case[0], Perceptual)
    assert isinstance(case[0].name, str)


def test_nothing_apart_is_nothing_and_more_apart_is_more(case: Case) -> None:
    distance, size = case
    _, target, mask = pictures(size)
    assert distance(target, target, mask).abs().max() < 1e-9
    noise = rand(2, 3, size, size, seed=5) - 0.5
    near, far = (distance(target + k * noise, target, mask) for k in (0.1, 0.4))
    assert (near > 0).all()
    assert (far > near).all()


def test_items_of_a_batch_do_not_mix(case: Case) -> None:
    distance, size = case
    predicted, target, mask = pictures(size)
    together = distance(predicted, target, mask)
    alone = torch.cat([distance(*(t[i : i + 1] for t in (predicted, target, mask))) for i in range(2)])
    assert together.shape == (2,)
    assert torch.allclose(together, alone, rtol=1e-5)


def test_it_is_deaf_outside_the_mask(case: Case) -> None:
    distance, size = case
    predicted, target, _ = pictures(size)
    mask = torch.zeros(2, 1, size, size)
    mask[..., 3:11, 4:12] = 1
    changed = torch.where(mask > 0, predicted, rand(2, 3, size, size, seed=7))
    assert torch.equal(distance(predicted, target, mask), distance(changed, target, mask))
    assert distance(predicted, target, 0 * mask).abs().max() == 0


def test_gradients_reach_the_prediction_alone_and_are_finite_everywhere(case: Case) -> None:
    distance, size = case
    predicted, target, mask = (t.requires_grad_() for t in pictures(size))
    distance(predicted, target, mask.detach()).sum().backward()
    assert predicted.grad is not None
    assert target.grad is None
    assert predicted.grad.isfinite().all()
    assert (predicted.grad.flatten(1).abs().amax(1) > 0).all()
    same = torch.full((1, 3, size, size), 0.5).requires_grad_()
    distance(same, same.detach().clone(), torch.ones(1, 1, size, size)).sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()


def test_the_discriminators_distance_by_hand(random_gan: Gan) -> None:
    predicted, target, mask = pictures(16)
    found = DiscriminatorFeatures(random_gan)(predicted, target, mask)
    assert random_gan.discriminator is not None
    laid = target * (1 - mask) + predicted * mask
    taps = [random_gan.discriminator.features(x * 2 - 1, 2)[1:] for x in (laid, target)]
    expected = torch.zeros(2)
    for a, b in zip(*taps, strict=True):
        factor = 16 // a.shape[-1]
        pooled = mask.unfold(2, factor, factor).unfold(3, factor, factor).mean((4, 5))
        expected += (pooled * (a - b).abs()).sum((1, 2, 3)) / (pooled.sum((1, 2, 3)) * a.shape[1])
    assert torch.allclose(found, expected, rtol=1e-5)


def test_names(random_gan: Gan) -> None:
    assert make_perceptual("none", random_gan, "cpu") is None
    made = make_perceptual("discriminator", random_gan, "cpu")
    assert isinstance(made, DiscriminatorFeatures)
    assert made.gan is random_gan
    blind = Gan(random_gan.generator, None, random_gan.info)
    with pytest.raises(CheckpointError, match="no discriminator"):
        make_perceptual("discriminator", blind, "cpu")


@needs_stlpips
def test_the_precision_is_the_generators(random_gan: Gan) -> None:
    made = make_perceptual("stlpips", random_gan.with_precision("bf16"), "cpu")
    assert isinstance(made, LearnedDistance)
    assert (made.name, made.precision) == ("stlpips", "bf16")


def test_pictures_too_small_are_refused(random_vgg: LearnedDistance) -> None:
    small = torch.zeros(1, 3, 8, 8)
    with pytest.raises(InputError, match="at least 16 px"):
        random_vgg(small, small, small[:, :1])
