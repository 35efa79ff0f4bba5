"""The square of a photo: what is cut out is what is there, and what lies outside repeats the edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.crop import Square, check_square, cut, middle_square, parse_crop
from bozzetto.errors import InputError

NAME = Path("photo.png")


def photo(width: int = 40, height: int = 30) -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32)).movedim(-1, 0) / 255


def test_a_square_inside_is_the_pixels_themselves() -> None:
    whole = pixels(photo())
    found = cut(photo(), Square(5, 7, 20), 20, NAME)
    assert torch.equal(found, whole[:, 7:27, 5:25])
    assert middle_square(40, 30) == Square(5, 0, 30)
    assert middle_square(31, 16).box == (7, 0, 23, 16)


@pytest.mark.parametrize("square", [Square(-6, 4, 20), Square(30, 20, 16), Square(-3, -5, 50)])
def test_outside_the_photo_the_nearest_pixel_is_repeated(square: Square) -> None:
    whole = pixels(photo())
    rows = (torch.arange(square.side) + square.top).clamp(0, 29)
    columns = (torch.arange(square.side) + square.left).clamp(0, 39)
    found = cut(photo(), square, square.side, NAME)
    assert torch.equal(found, whole[:, rows][:, :, columns])


@pytest.mark.parametrize("mode", ["L", "RGB", "F"])
def test_rows_of_a_letterbox_are_black_in_every_mode(mode: str) -> None:
    image = Image.new(mode, (20, 20), {"L": 200, "RGB": (200, 200, 200), "F": 0.5}[mode])
    found = cut(image, Square(0, -4, 20, rows=(3, 11)), 20, NAME)
    black = torch.ones(20, dtype=torch.bool)
    black[7:15] = False
    assert torch.equal(found.amax(dim=(0, 2)) == 0, black)
    assert torch.equal(found.amin(dim=(0, 2)) == 0, black)


def test_resizing_is_one_step_from_the_photo_s_pixels() -> None:
    left, right = (
        cut(photo(), Square(4, 2, 24), 12, NAME),
        photo().resize((12, 12), Image.Resampling.LANCZOS, (4, 2, 28, 26)),
    )
    assert torch.equal(left, pixels(right))


@pytest.mark.parametrize(
    ("text", "found"),
    [("auto", "auto"), ("none", "none"), ("3,4,50", Square(3, 4, 50)), ("-3, 0,8", Square(-3, 0, 8))],
)
def test_crops_are_read(text: str, found: str | Square) -> None:
    assert parse_crop(text) == found


def test_three_numbers_are_a_crop_too() -> None:
    assert parse_crop((1, 2, 30)) == Square(1, 2, 30)


@pytest.mark.parametrize("text", ["", "middle", "1,2", "1,2,3,4", "a,b,c", "1,2,30.5"])
def test_other_words_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="give auto, none, or x,y,size"):
        parse_crop(text)


@pytest.mark.parametrize("crop", [(0, 0, 7), (0, 0, 0), (0, 0, -20)])
def test_tiny_crops_are_refused(crop: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="at least 8"):
        parse_crop(crop)


@pytest.mark.parametrize("square", [Square(40, 0, 10), Square(0, 30, 10), Square(-10, 0, 10), Square(0, -12, 12)])
def test_squares_that_see_nothing_of_the_photo_are_refused(square: Square) -> None:
    with pytest.raises(InputError, match="outside"):
        check_square(square, 40, 30, "photo.png")
    check_square(Square(square.left // 2, square.top // 2, 12), 40, 30, "photo.png")


def test_squares_far_larger_than_the_photo_are_refused() -> None:
    check_square(Square(0, 0, 80), 40, 30, "photo.png")
    with pytest.raises(InputError, match="smaller one"):
        check_square(Square(0, 0, 81), 40, 30, "photo.png")


def test_a_square_in_another_resolution_is_the_same_part() -> None:
    assert Square(10, 20, 100, (30, 90)).scaled(0.5) == Square(5, 10, 50, (15, 45))
    assert Square(10, 20, 100).scaled(1.0) == Square(10, 20, 100)
