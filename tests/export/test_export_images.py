from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bozzetto.export.colours import BACKGROUND, srgb_to_oklab
from bozzetto.export.images import depth_rgb, normal_rgb, over, picture, shown_depth_range, to_uint8, write_png
from bozzetto.types import DepthRange


def test_every_byte_survives_the_way_to_a_float_and_back() -> None:
    codes = torch.arange(256, dtype=torch.float32).reshape(1, 16, 16) / 255
    assert np.array_equal(to_uint8(codes)[..., 0].reshape(-1), np.arange(256))


def test_values_outside_are_clamped_and_nan_is_black() -> None:
    odd = torch.tensor([[[-1.0, 2.0, float("nan"), float("inf")]]])
    assert to_uint8(odd)[0, :, 0].tolist() == [0, 255, 0, 255]


def test_png_reads_back_the_same_bytes(tmp_path: Path) -> None:
    image = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(1))
    path = write_png(image, tmp_path / "deep" / "a.png")
    assert np.array_equal(np.array(Image.open(path)), to_uint8(image))
    assert picture(image[:1]).mode == "L"


def test_normal_colours_follow_the_stated_convention() -> None:
    # toward the camera, right, up (our y points down)
    normal = torch.tensor([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]]).T[:, None]
    expected = torch.tensor([[0.5, 0.5, 1.0], [1.0, 0.5, 0.5], [0.5, 1.0, 0.5]]).T[:, None]
    assert torch.allclose(normal_rgb(normal), expected)


def test_near_is_lighter_than_far_and_the_mask_gives_the_background() -> None:
    depth = torch.tensor([[[0.9, 1.0, 1.1]]])
    lightness = srgb_to_oklab(depth_rgb(depth, 0.9, 1.1).movedim(0, -1))[..., 0]
    assert lightness[0, 0] > lightness[0, 1] > lightness[0, 2]
    masked = depth_rgb(depth, 0.9, 1.1, torch.zeros(1, 1, 3))
    assert torch.allclose(masked, torch.tensor(BACKGROUND).view(3, 1, 1).expand(3, 1, 3))


def test_flat_depth_has_a_picture() -> None:
    assert torch.isfinite(depth_rgb(torch.ones(1, 2, 2), 1.0, 1.0)).all()


def test_over_is_the_image_the_background_or_the_middle() -> None:
    image = torch.full((3, 1, 3), 0.25)
    mixed = over(image, torch.tensor([[[1.0, 0.0, 0.5]]]), (0.75, 0.75, 0.75))
    assert torch.allclose(mixed[0, 0], torch.tensor([0.25, 0.75, 0.5]))


def test_shown_range_ignores_what_is_off_the_mask() -> None:
    depth = torch.linspace(0.95, 1.0, 64).reshape(1, 8, 8).clone()
    mask = torch.ones_like(depth)
    depth[0, 0, 0], mask[0, 0, 0] = 5.0, 0.0
    shown = shown_depth_range(depth, mask, DepthRange())
    assert 0.94 < shown.near < 0.96
    assert 0.99 < shown.far < 1.01
    assert shown_depth_range(depth, mask * 0, DepthRange()) == DepthRange()
