from __future__ import annotations

from dataclasses import fields

import torch

from bozzetto.metrics.masks import erode
from bozzetto.metrics.report import DepthScores, score_depth
from bozzetto.types import Camera


def bumpy(size: int, seed: int, b: int = 2) -> torch.Tensor:
    coarse = torch.rand(b, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return 0.95 + 0.1 * torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)


def disc(size: int, b: int = 2) -> torch.Tensor:
    grid = torch.linspace(-1, 1, size)
    return ((grid[:, None] ** 2 + grid[None] ** 2) < 0.6).float().expand(b, 1, size, size).clone()


def test_a_perfect_prediction_scores_zero_but_for_the_published_formula() -> None:
    truth, mask = bumpy(64, 0), disc(64)
    holes = torch.where(mask > 0, truth, torch.tensor(torch.nan))
    scores = score_depth(truth, holes, mask, Camera(64))
    assert scores.side.max() < 1e-6
    assert scores.mad_deg.max() < 1e-4
    assert scores.mad_published_mask_deg.max() < 1e-4
    assert scores.side_published.max() < 1e-6
    assert scores.side_published_formula.max() < 1e-6
    assert scores.mad_published_deg.min() > 3
    assert scores.mad_published_formula_deg.min() > 3
    torch.testing.assert_close(scores.coverage, torch.ones(2))


def test_items_are_scored_independently() -> None:
    prediction, truth, mask, camera = bumpy(32, 1), bumpy(32, 0), disc(32), Camera(32)
    valid = torch.ones_like(mask)
    valid[1, ..., :16] = 0
    together = score_depth(prediction, truth, mask, camera, predicted_valid=valid)
    for i in range(2):
        s = slice(i, i + 1)
        alone = score_depth(prediction[s], truth[s], mask[s], camera, predicted_valid=valid[s])
        for field in fields(DepthScores):
            torch.testing.assert_close(getattr(together, field.name)[s], getattr(alone, field.name))
    assert together.coverage[0] == 1
    assert 0.3 < together.coverage[1] < 0.55


def test_the_published_mask_hides_what_is_wrong_at_the_rim_and_the_truth_mask_does_not() -> None:
    truth, mask, camera = bumpy(32, 0), disc(32), Camera(32)
    inner = erode(mask, 3)
    wrong = torch.where(
        inner > 0, truth, truth + 0.02 * torch.rand(truth.shape, generator=torch.Generator().manual_seed(3))
    )
    scores = score_depth(wrong, truth, mask, camera, predicted_valid=erode(inner))
    for right, narrow in (("side", "side_published_mask"), ("mad_deg", "mad_published_mask_deg")):
        assert getattr(scores, right).min() > 1e-3
        assert getattr(scores, narrow).max() < 1e-4
    assert scores.side_published_formula.min() > 1e-3
    assert scores.side_published.max() < 1e-6
    assert (scores.mad_published_formula_deg > scores.mad_published_deg).all()
    assert scores.coverage.max() < 0.7
