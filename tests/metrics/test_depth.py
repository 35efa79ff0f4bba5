from __future__ import annotations

import torch

from bozzetto.metrics.depth import masked_mean, scale_invariant_depth_error


def random_depth(b: int, size: int, seed: int = 0) -> torch.Tensor:
    return 0.9 + 0.2 * torch.rand(b, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_a_scaled_copy_scores_zero() -> None:
    truth = random_depth(3, 32)
    scale = torch.tensor([0.5, 1.0, 3.0])[:, None, None, None]
    assert scale_invariant_depth_error(scale * truth, truth, torch.ones_like(truth)).max() < 1e-6


def test_log_depth_off_by_plus_a_and_minus_a_half_and_half_scores_a() -> None:
    truth = random_depth(2, 32)
    sign = torch.ones_like(truth)
    sign[..., ::2] = -1
    for a in (0.001, 0.02, 0.5):
        side = scale_invariant_depth_error(truth * torch.exp(a * sign), truth, torch.ones_like(truth))
        torch.testing.assert_close(side, torch.full((2,), a), rtol=1e-3, atol=1e-6)


def test_only_masked_pixels_count_even_beside_nan() -> None:
    truth, prediction = random_depth(1, 16, 0), random_depth(1, 16, 1)
    mask = torch.zeros_like(truth)
    mask[..., 3:11, 2:9] = 1
    inside = scale_invariant_depth_error(prediction[..., 3:11, 2:9], truth[..., 3:11, 2:9], mask[..., 3:11, 2:9])
    holes = torch.where(mask > 0, truth, torch.tensor(torch.nan))
    torch.testing.assert_close(scale_invariant_depth_error(prediction, holes, mask), inside)


def test_items_are_independent_and_an_empty_mask_is_nan() -> None:
    truth, prediction = random_depth(3, 16, 0), random_depth(3, 16, 1)
    mask = (random_depth(3, 16, 2) > 1).float()
    mask[1] = 0
    together = scale_invariant_depth_error(prediction, truth, mask)
    alone = torch.cat(
        [scale_invariant_depth_error(prediction[i : i + 1], truth[i : i + 1], mask[i : i + 1]) for i in range(3)]
    )
    torch.testing.assert_close(together, alone, equal_nan=True)
    assert together.isnan().tolist() == [False, True, False]


def test_it_is_symmetric() -> None:
    truth, prediction = random_depth(2, 16, 0), random_depth(2, 16, 1)
    mask = torch.ones_like(truth)
    torch.testing.assert_close(
        scale_invariant_depth_error(prediction, truth, mask), scale_invariant_depth_error(truth, prediction, mask)
    )


def test_masked_mean_of_a_constant_is_the_constant() -> None:
    mask = (random_depth(2, 16) > 1).float()
    torch.testing.assert_close(masked_mean(torch.full((2, 3, 16, 16), 7.25), mask), torch.full((2,), 7.25))
