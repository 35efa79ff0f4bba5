from __future__ import annotations

import torch

from bozzetto.metrics.masks import coverage, erode, published_mask


def square(size: int, low: int, high: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., low:high, low:high] = 1
    return mask


def test_a_square_loses_one_pixel_a_side_each_time() -> None:
    assert torch.equal(erode(square(20, 4, 15)), square(20, 5, 14))
    assert torch.equal(erode(square(20, 4, 15), 3), square(20, 7, 12))


def test_the_image_border_goes_as_in_unsup3d() -> None:
    assert torch.equal(erode(torch.ones(1, 1, 9, 9)), square(9, 1, 8))


def test_erosion_equals_the_published_average_pooling() -> None:
    mask = (torch.rand(4, 1, 33, 33, generator=torch.Generator().manual_seed(0)) > 0.1).float()
    pooled = (torch.nn.functional.avg_pool2d(mask, 3, stride=1, padding=1) > 0.99).float()
    assert torch.equal(erode(mask), pooled)


def test_shrinking_the_prediction_shrinks_the_published_mask_and_coverage_tells() -> None:
    truth = square(32, 4, 28)
    whole, half = published_mask(truth, torch.ones_like(truth)), published_mask(truth, square(32, 9, 23))
    assert coverage(whole, erode(truth)).item() == 1
    torch.testing.assert_close(coverage(half, erode(truth)), torch.tensor([(12 / 22) ** 2]))
