from __future__ import annotations

import math

import pytest
import torch

from bozzetto.metrics.pictures import psnr_db, relative_error_up_to_scale


def pictures(b: int, channels: int = 3, size: int = 12, seed: int = 0) -> torch.Tensor:
    return 0.1 + 0.8 * torch.rand(b, channels, size, size, generator=torch.Generator().manual_seed(seed))


def left_half(b: int, size: int = 12) -> torch.Tensor:
    mask = torch.zeros(b, 1, size, size)
    mask[..., : size // 2] = 1
    return mask


@pytest.mark.parametrize("offset", [0.1, -0.01, 0.5])
def test_an_offset_of_a_scores_minus_twenty_log_a(offset: float) -> None:
    truth = pictures(2)
    found = psnr_db(truth + offset, truth, torch.ones(2, 1, 12, 12))
    torch.testing.assert_close(found, torch.full((2,), -20 * math.log10(abs(offset))), rtol=1e-4, atol=1e-4)


def test_equal_pictures_are_infinitely_near_and_an_empty_mask_is_nan() -> None:
    truth, mask = pictures(2), left_half(2)
    mask[1] = 0
    found = psnr_db(truth, truth, mask)
    assert found[0] == math.inf
    assert found[1].isnan()


def test_only_masked_pixels_count_even_beside_nan() -> None:
    x, y, mask = pictures(2, seed=0), pictures(2, seed=1), left_half(2)
    whole = torch.ones(2, 1, 12, 6)
    for score in (psnr_db, relative_error_up_to_scale):
        inside = score(x[..., :6].contiguous(), y[..., :6].contiguous(), whole)
        holes = torch.where(mask > 0, y, torch.nan)
        torch.testing.assert_close(score(x, holes, mask), inside)


@pytest.mark.parametrize("factor", [0.01, 1.0, 7.0])
def test_any_multiple_of_the_truth_has_no_error(factor: float) -> None:
    truth = pictures(2)
    assert relative_error_up_to_scale(factor * truth, truth, torch.ones(2, 1, 12, 12)).max() < 1e-6


@pytest.mark.parametrize("degrees", [0.01, 5.0, 30.0, 89.0, 90.0, 120.0])
def test_a_picture_at_an_angle_scores_its_sine(degrees: float) -> None:
    """Two chequered patterns are orthogonal; a mixture of both lies at any angle from the first."""
    a, b = torch.zeros(1, 1, 4, 4, dtype=torch.float64), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    a[..., ::2], b[..., 1::2] = 1, 1
    t = math.radians(degrees)
    found = relative_error_up_to_scale(3 * (math.cos(t) * a + math.sin(t) * b), a, torch.ones_like(a))
    expected = math.sin(t) if degrees < 90 else 1.0  # beyond, no factor from 0 on helps
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64))


def test_the_factor_is_one_for_all_colours() -> None:
    truth = torch.ones(1, 2, 3, 3)
    tinted = truth * torch.tensor([1.0, 3.0])[None, :, None, None]
    # k = x.y / x.x = 4 / 10: the rest is (0.6, -0.2) against a length of sqrt 2.
    torch.testing.assert_close(
        relative_error_up_to_scale(tinted, truth, torch.ones(1, 1, 3, 3)), torch.tensor([math.sqrt(0.4 / 2)])
    )


def test_black_scores_one_and_a_black_truth_nothing() -> None:
    black, truth, mask = torch.zeros(1, 3, 12, 12), pictures(1), torch.ones(1, 1, 12, 12)
    assert relative_error_up_to_scale(black, truth, mask).item() == 1
    assert relative_error_up_to_scale(truth, black, mask).isnan().all()


def test_items_are_independent() -> None:
    x, y, mask = pictures(3, seed=0), pictures(3, seed=1), (pictures(3, 1, seed=2) > 0.5).float()
    for score in (psnr_db, relative_error_up_to_scale):
        alone = torch.cat([score(x[i : i + 1], y[i : i + 1], mask[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(score(x, y, mask), alone)
