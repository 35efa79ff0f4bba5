"""Framing: a mask laid out as training pictures are is found where it was put, at any size and place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import bozzetto
from bozzetto.bench.datasets import load_packed_heads
from bozzetto.segment.framings import CELLS, FRAMINGS, PORTRAIT, UNKNOWN, Framing, find_framing, outline_rows
from bozzetto.segment.outline import _slide, box_of, fit_framing

ASSETS = Path(bozzetto.__file__).parent / "assets"
OUTLINED = [name for name, framing in FRAMINGS.items() if framing.outline]


def pasted(framing: Framing, width: int, height: int, left: int, top: int, side: int) -> Tensor:
    """A mask with the framing's own outline in a square of it, sharp, a crown on it if it has one, and no more."""
    mean = framing.mean_mask()[None, None]
    sharp = F.interpolate(mean, size=(side, side), mode="bilinear", align_corners=False)[0, 0] > 0.5
    mask = torch.zeros(height, width)
    mask[top : top + side, left : left + side] = sharp.float()
    if framing.crown > 0:
        rows, columns = torch.arange(float(height))[:, None], torch.arange(float(width))[None]
        x, y = (columns - left - side / 2) / (0.45 * side), (top - rows) / (framing.crown * side)
        mask[(x**2 + y**2 <= 1) & (y > 0)] = 1
    return mask


@pytest.mark.parametrize("name", OUTLINED)
@pytest.mark.parametrize(("width", "height", "left", "top", "side"), [(200, 120, 90, 35, 80), (90, 220, 10, 130, 70)])
def test_an_outline_is_found_where_it_was_put(
    name: str, width: int, height: int, left: int, top: int, side: int
) -> None:
    fit = fit_framing(pasted(FRAMINGS[name], width, height, left, top, side), FRAMINGS[name])
    assert fit is not None
    tolerance = 0.12 * side
    assert abs(fit.side - side) < tolerance
    assert abs(fit.left + fit.side / 2 - left - side / 2) < tolerance
    assert abs(fit.top + fit.side / 2 - top - side / 2) < tolerance


def test_a_photo_twice_as_large_has_the_square_twice_as_large() -> None:
    mask = pasted(FRAMINGS["cat"], 128, 96, 40, 8, 64)
    large = F.interpolate(mask[None, None], scale_factor=2, mode="nearest")[0, 0]
    one, two = fit_framing(mask, FRAMINGS["cat"]), fit_framing(large, FRAMINGS["cat"])
    assert one is not None
    assert two is not None
    assert two[:3] == pytest.approx([2 * value for value in one[:3]], abs=4)


def test_a_mirrored_mask_has_the_mirrored_square() -> None:
    mask = pasted(FRAMINGS["face"], 160, 100, 20, 10, 72)
    here, there = fit_framing(mask, FRAMINGS["face"]), fit_framing(mask.flip(1), FRAMINGS["face"])
    assert here is not None
    assert there is not None
    assert there.side == pytest.approx(here.side)
    assert there.left == pytest.approx(160 - here.left - here.side, abs=3)


@pytest.mark.parametrize("x", [80, 120])
@pytest.mark.parametrize("height", [70, 110])
def test_of_a_person_the_face_is_found(height: int, x: int) -> None:
    """A head (an ellipse, eyes halfway up), a neck, and shoulders down to the edge."""
    rows, columns = torch.arange(300.0)[:, None], torch.arange(200.0)[None]
    top, width = 30, 0.75 * height
    middle = top + height / 2
    head = ((columns - x) / (width / 2)) ** 2 + ((rows - middle) / (height / 2)) ** 2 <= 1
    neck = ((columns - x).abs() < width / 4) & (rows > middle) & (rows < top + 1.3 * height)
    body = ((columns - x).abs() < 1.1 * width) & (rows >= top + 1.25 * height)
    fit = fit_framing((head | neck | body).float(), FRAMINGS["face"])
    assert fit is not None
    assert fit.left + fit.side / 2 == pytest.approx(x, abs=0.08 * height)
    assert fit.top + 0.28 * fit.side == pytest.approx(middle, abs=0.15 * height)  # the eyes
    assert fit.side == pytest.approx(height / 2 / 0.69, rel=0.2)  # the chin is 0.69 below them


def test_what_is_not_known_does_not_count() -> None:
    mask = pasted(FRAMINGS["cat"], 128, 128, 20, 30, 64)
    known = torch.ones_like(mask)
    known[:, 100:] = 0
    right = fit_framing(mask, FRAMINGS["cat"], known)
    mask[:, 100:] = 1  # nobody has seen this
    assert fit_framing(mask * known, FRAMINGS["cat"], known) == right


def test_without_an_outline_the_box_and_its_margin_are_the_square() -> None:
    mask = torch.zeros(80, 120)
    mask[20:50, 30:90] = 1
    fit = fit_framing(mask, Framing(margin=0.1))
    assert box_of(mask) == (30, 20, 90, 50)
    assert fit is not None
    assert fit[:3] == pytest.approx((24, -1, 72))
    assert fit_framing(0 * mask, Framing()) is None
    assert fit_framing(0 * mask, FRAMINGS["cat"]) is None


def test_a_wider_picture_is_laid_around_the_square() -> None:
    mask = pasted(FRAMINGS["face"], 200, 200, 60, 80, 70)
    face, portrait = fit_framing(mask, FRAMINGS["face"]), fit_framing(mask, PORTRAIT)
    assert face is not None
    assert portrait is not None
    eyes_y = face.top + 0.28 * face.side
    assert portrait.side == pytest.approx(4 * 0.42 * face.side)
    assert portrait.left + portrait.side / 2 == pytest.approx(face.left + face.side / 2)
    # The middle lies a tenth of the way from the eyes to the mouth.
    assert portrait.top + portrait.side / 2 == pytest.approx(eyes_y + 0.1 * 0.42 * face.side)


def test_rows_are_the_mean_mask_of_pictures_and_their_mirror_images() -> None:
    masks = torch.zeros(2, 1, 32, 32)
    masks[:, :, :16, :16] = 1
    masks[1, :, :16, 16:] = 1
    rows = outline_rows(masks)
    assert rows == ("7" * 16,) * 8 + ("0" * 16,) * 8
    assert Framing(rows).mean_mask()[0, 0] == pytest.approx(0.75)


def test_kernels_are_slid_as_convolutions_slide_them() -> None:
    rng = torch.Generator().manual_seed(0)
    planes, kernels = torch.rand(3, 23, 31, generator=rng), torch.randn(2, 3, 8, 8, generator=rng)
    assert torch.allclose(_slide(planes, kernels), F.conv2d(planes[None], kernels)[0], atol=1e-4)


@pytest.mark.parametrize("name", OUTLINED)
def test_outlines_are_square_and_symmetric(name: str) -> None:
    rows = FRAMINGS[name].outline
    assert len(rows) == CELLS
    assert all(len(row) == CELLS and row == row[::-1] for row in rows)


def test_the_outline_of_heads_is_that_of_the_packed_heads() -> None:
    heads = load_packed_heads(ASSETS / "heads_test_64.npz")
    found = Framing(outline_rows(heads.mask.float())).mean_mask()
    assert (found - FRAMINGS["heads"].mean_mask()).abs().mean() < 0.02


def test_names_of_generators_choose_among_framings() -> None:
    assert find_framing("face", "mine") is FRAMINGS["face"]
    assert find_framing("face", "ffhq256") is PORTRAIT
    assert find_framing("face", "stylegan3-t-metfaces1024") is PORTRAIT
    assert find_framing("cat", "afhqcat512") is FRAMINGS["cat"]
    assert find_framing("cat", "lsuncat256") is UNKNOWN
    assert find_framing("sofa") is UNKNOWN
