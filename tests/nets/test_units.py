from __future__ import annotations

import math

import torch

from bozzetto.nets.heads import (
    ViewScale,
    albedo_from_raw,
    depth_from_raw,
    light_from_raw,
    raw_from_view,
    view_from_raw,
)
from bozzetto.types import DepthRange

RANGE = DepthRange()


def raw(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale


def test_depth_stays_inside_the_range_and_its_columns_at_the_border() -> None:
    for scale in (0.1, 1.0, 5.0):
        depth = depth_from_raw(raw(3, 1, 16, 16, scale=scale), RANGE)
        assert RANGE.near < depth.min()
        assert depth.max() < RANGE.far
        border = 0.7 * 1.1 + 0.3 * 0.9
        for columns in (depth[..., :2], depth[..., -2:]):
            assert torch.allclose(columns, torch.full_like(columns, border), rtol=0, atol=1e-15)
        assert (depth[..., 2:-2] - border).abs().min() > 0
    saturated = depth_from_raw(raw(1, 1, 16, 16, scale=1e6).float(), RANGE)
    assert saturated.min() >= torch.tensor(RANGE.near) - 1e-7
    assert saturated.max() <= torch.tensor(RANGE.far) + 1e-7


def test_depth_is_the_rescaled_tanh_of_the_centred_map() -> None:
    values = raw(2, 1, 16, 16)
    depth = depth_from_raw(values, RANGE)
    for item, found in zip(values, depth, strict=True):
        expected = 1.0 + 0.1 * torch.tanh(item - item.mean())
        assert torch.allclose(found[..., 2:-2], expected[..., 2:-2], rtol=0, atol=1e-14)


def test_depth_is_centred_for_each_photo_and_deaf_to_a_constant() -> None:
    values = raw(3, 1, 16, 16)
    shifted = values + torch.tensor([0.0, 5.0, -100.0], dtype=torch.float64)[:, None, None, None]
    depth = depth_from_raw(values, RANGE)
    assert torch.allclose(depth_from_raw(shifted, RANGE), depth, atol=1e-12)
    assert torch.equal(depth, torch.cat([depth_from_raw(item[None], RANGE) for item in values]))


def test_views_there_and_back() -> None:
    scale = ViewScale(60.0, 0.1, 0.1)
    zero = torch.zeros(6, dtype=torch.float64)
    values = raw(5, 6).tanh()
    assert torch.allclose(raw_from_view(view_from_raw(values, zero, scale), scale), values, atol=1e-15)
    mean = torch.linspace(-0.3, 0.3, 6, dtype=torch.float64)
    assert torch.allclose(raw_from_view(view_from_raw(values, mean, scale), scale) - mean, values, atol=1e-14)


def test_units_of_a_view() -> None:
    one = torch.ones(1, 6, dtype=torch.float64)
    view = view_from_raw(one, torch.zeros(6, dtype=torch.float64), ViewScale())
    turn = math.pi / 3
    assert torch.allclose(view, torch.tensor([[turn, turn, turn, 0.1, 0.1, 0.0]], dtype=torch.float64))
    back = raw_from_view(view, ViewScale())
    assert torch.allclose(back, torch.tensor([[1.0, 1, 1, 1, 1, 0]], dtype=torch.float64))  # no scale, no number


def test_lights_and_albedo_by_hand() -> None:
    values = torch.tensor([[-1.0, 1.0, 0.3, -0.4]])
    assert torch.allclose(light_from_raw(values, torch.zeros(4)), torch.tensor([[0.0, 1.0, 0.3, -0.4]]))
    mean = torch.tensor([1.0, -1.0, 0.1, 0.1])
    assert torch.allclose(light_from_raw(values, mean), torch.tensor([[0.5, 0.5, 0.4, -0.3]]))
    assert torch.equal(
        albedo_from_raw(torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1)).flatten(), torch.tensor([0, 0.5, 1])
    )
