from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bozzetto.losses.latent import latent_norm
from bozzetto.losses.perceptual import composite
from bozzetto.losses.photometric import masked_mean, photometric
from bozzetto.losses.smoothness import smoothness


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_masked_mean_of_a_hard_mask_is_the_mean_of_what_it_chooses() -> None:
    values, mask = rand(3, 4, 6, 5), (rand(3, 1, 6, 5, seed=1) > 0.4).double()
    expected = [v[:, m[0] > 0].mean() for v, m in zip(values, mask, strict=True)]
    assert torch.allclose(masked_mean(values, mask), torch.stack(expected))


def test_masked_mean_weighs_softly_and_forgets_the_masks_scale() -> None:
    values, mask = rand(2, 3, 4, 4), rand(2, 1, 4, 4, seed=1)
    expected = (values * mask).flatten(1).sum(1) / mask.expand_as(values).flatten(1).sum(1)
    assert torch.allclose(masked_mean(values, mask), expected)
    assert torch.allclose(masked_mean(values, 0.01 * mask), expected)
    assert torch.allclose(masked_mean(torch.full_like(values, 0.7), mask), torch.full((2,), 0.7, dtype=torch.float64))


def test_an_empty_mask_gives_zero_with_zero_gradient() -> None:
    predicted = rand(2, 3, 4, 4).requires_grad_()
    mask = torch.stack((torch.zeros(1, 4, 4), torch.ones(1, 4, 4))).double()
    loss = photometric(predicted, rand(2, 3, 4, 4, seed=2), mask)
    assert loss[0] == 0
    assert loss[1] > 0
    loss.sum().backward()
    assert predicted.grad is not None
    assert not predicted.grad[0].any()
    assert predicted.grad[1].all()


def test_photometric_is_on_the_papers_scale() -> None:
    black, white, mask = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    assert photometric(black, white, mask).tolist() == [2.0]  # |-1 - 1| there
    assert photometric(white, white, mask).tolist() == [0.0]
    mask[..., 2:] = 0
    white[..., 2:] = 5  # not looked at
    assert photometric(black, white, mask).tolist() == [2.0]


def test_smoothness_of_a_plane_is_zero() -> None:
    v, u = torch.meshgrid(*[torch.arange(9, dtype=torch.float64)] * 2, indexing="ij")
    assert smoothness((2 + 0.5 * u - 0.25 * v)[None, None]).item() == 0


@pytest.mark.parametrize(("a", "b", "c"), [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -2.0), (0.5, -1.5, 0.25)])
def test_smoothness_of_a_quadratic_in_closed_form(a: float, b: float, c: float) -> None:
    v, u = torch.meshgrid(*[torch.arange(9, dtype=torch.float64)] * 2, indexing="ij")
    field = (a * u**2 + b * u * v + c * v**2 + u - 3)[None, None]
    assert smoothness(field).item() == pytest.approx(2 * abs(a) + 2 * abs(b) + 2 * abs(c), abs=1e-12)
    assert smoothness(-3 * field).item() == pytest.approx(3 * smoothness(field).item())


def test_latent_norm_by_hand() -> None:
    assert latent_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [12.5, 0.0]


def test_composite_chooses() -> None:
    a, b = rand(2, 3, 4, 4), rand(2, 3, 4, 4, seed=1)
    ones = torch.ones(2, 1, 4, 4, dtype=torch.float64)
    assert torch.equal(composite(a, b, 0 * ones), b)
    assert torch.allclose(composite(a, b, ones), a)
    assert torch.allclose(composite(a, b, 0.25 * ones), 0.25 * a + 0.75 * b)


def test_items_of_a_batch_do_not_mix() -> None:
    a, b, mask = rand(3, 3, 6, 6), rand(3, 3, 6, 6, seed=1), rand(3, 1, 6, 6, seed=2)
    one_by_one = [(a[i : i + 1], b[i : i + 1], mask[i : i + 1]) for i in range(3)]
    assert torch.allclose(photometric(a, b, mask), torch.cat([photometric(*item) for item in one_by_one]))
    assert torch.allclose(smoothness(a), torch.cat([smoothness(item) for item, _, _ in one_by_one]))
    assert torch.equal(latent_norm(a[:, :, 0, 0]), torch.cat([latent_norm(x[:, :, 0, 0]) for x, _, _ in one_by_one]))
