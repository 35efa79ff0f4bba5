from __future__ import annotations

import torch

from bozzetto.export.colours import apply_table, depth_table, oklab_to_srgb, srgb_to_oklab


def test_oklab_there_and_back_is_the_identity() -> None:
    rgb = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    assert (oklab_to_srgb(srgb_to_oklab(rgb)) - rgb).abs().max() < 1e-4


def test_oklab_of_white_black_and_grey() -> None:
    lab = srgb_to_oklab(torch.tensor([[1.0, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5]]))
    assert torch.allclose(lab[0], torch.tensor([1.0, 0, 0]), atol=1e-3)
    assert torch.equal(lab[1], torch.zeros(3))
    assert lab[2, 1:].abs().max() < 1e-3


def test_depth_colours_grow_lighter_in_even_steps() -> None:
    lightness = srgb_to_oklab(depth_table(256))[:, 0]
    steps = lightness.diff()
    assert steps.min() > 0
    assert steps.max() < 1.1 * steps.mean()
    assert lightness[0] < 0.3
    assert lightness[-1] > 0.9


def test_table_is_met_at_its_entries_and_halfway_between() -> None:
    table = torch.tensor([[0.0, 0, 0], [0.2, 0.4, 0.6], [1, 1, 1]])
    rgb = apply_table(torch.tensor([[[0.0, 0.25, 0.5, 1.0, 2.0, -1.0, float("nan")]]]), table)
    expected = torch.stack([table[0], (table[0] + table[1]) / 2, table[1], table[2], table[2], table[0], table[0]], 1)
    assert torch.allclose(rgb[:, 0], expected)
