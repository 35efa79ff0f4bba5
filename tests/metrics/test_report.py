from __future__ import annotations

from dataclasses import fields

import torch

from bozzetto.metrics.report import DepthScores, markdown_table, score_depth, summarise
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


def test_summary_scales_side_by_a_hundred_and_leaves_nan_out() -> None:
    one = DepthScores(*(torch.tensor([0.01, torch.nan, 0.03]) for _ in fields(DepthScores)))
    summary = summarise([one])
    assert abs(summary["side"][0] - 2.0) < 1e-6
    assert abs(summary["mad_deg"][0] - 0.02) < 1e-9


def test_the_table_has_a_row_per_method_and_a_cell_per_score() -> None:
    summary = summarise([score_depth(bumpy(32, 1), bumpy(32, 0), disc(32), Camera(32))])
    lines = markdown_table({"ours": summary, "constant": summary}).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| ours |")
