"""The square that is worked on: heads put on larger canvases are found, and square photos are left alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bozzetto
from bozzetto.autocrop import SMALL, overlap
from bozzetto.crop import Square, middle_square
from bozzetto.errors import InputError
from bozzetto.gan.generator import GanInfo
from bozzetto.inputs import CropLike, MaskLike, Picture, chooser, read_picture

ASSETS = Path(bozzetto.__file__).parent / "assets"
HEADS = GanInfo("heads", "stylegan2", 64, 8, 8, 10, 8, "MIT", "", "heads")
SIZE = 64


def head(size: int = 200) -> Image.Image:
    with Image.open(ASSETS / "demo_head.png") as image:
        return image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)


def canvas(width: int, height: int, left: int, top: int, size: int = 200) -> Image.Image:
    """The packaged head, and its background's colour all around it."""
    small = head(size)
    corner = np.asarray(small)[-size // 16 :, -size // 16 :].reshape(-1, 3).mean(axis=0)
    whole = Image.new("RGB", (width, height), tuple(int(value) for value in corner))
    whole.paste(small, (left, top))
    return whole


def look(
    image: Image.Image | Path | torch.Tensor,
    crop: CropLike = "auto",
    mask: MaskLike = "border",
    category: str = "heads",
    info: GanInfo = HEADS,
) -> Picture:
    return read_picture(image, SIZE, chooser(crop, mask, category, info))


@pytest.mark.parametrize(
    ("width", "height", "left", "top"),
    [(500, 260, 250, 40), (260, 500, 20, 270), (300, 200, 10, 0), (700, 420, 60, 200), (640, 640, 60, 380)],
)
def test_a_head_on_a_larger_canvas_is_found(width: int, height: int, left: int, top: int) -> None:
    found = look(canvas(width, height, left, top))
    square = found.square
    assert found.how == "auto: border"
    assert found.note is None
    assert abs(square.side - 200) <= 14
    assert abs(square.left + square.side / 2 - left - 100) <= 14
    assert abs(square.top + square.side / 2 - top - 100) <= 14
    assert found.original_size == (width, height)
    assert found.image.shape == (3, SIZE, SIZE)


def test_the_picture_is_that_of_the_square_alone(tmp_path: Path) -> None:
    path = tmp_path / "head.png"
    canvas(500, 260, 250, 40).save(path)
    found = look(path)
    again = look(path, crop=(found.square.left, found.square.top, found.square.side))
    assert torch.equal(found.image, again.image)
    assert again.how == "given"
    assert found.sha256 == again.sha256


@cache
def upright_square() -> Square:
    """Where the head is found on the canvas that several tests show."""
    return look(canvas(500, 260, 250, 40)).square


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_comes_before_the_crop(orientation: int, tmp_path: Path) -> None:
    upright = canvas(500, 260, 250, 40)
    turn = {3: 180, 6: 90, 8: 270}[orientation]  # stored so that the tag turns it back
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.rotate(turn, expand=True).save(tmp_path / "turned.png", exif=exif)
    assert look(tmp_path / "turned.png").square == upright_square()
    named = look(tmp_path / "turned.png", crop=(250, 40, 200))
    assert torch.equal(named.image, look(upright, crop=(250, 40, 200)).image)


@pytest.mark.parametrize("size", [SIZE, 150])
@pytest.mark.parametrize("mask", ["border", "auto", "none"])
def test_square_photos_as_the_generator_makes_them_stay_whole(size: int, mask: str) -> None:
    found = look(head(size), mask=mask)
    assert found.square == Square(0, 0, size)
    assert found.how == "whole"
    assert torch.equal(found.image, look(head(size), crop="none").image)


def test_square_photos_no_larger_than_the_generator_s_are_not_even_looked_at() -> None:
    small = canvas(SIZE, SIZE, 20, 20, size=24)
    assert look(small).how == "whole"
    large = look(small.resize((4 * SIZE, 4 * SIZE)))
    assert large.how == "auto: border"
    assert large.square.side < SMALL * 4 * SIZE


def test_nothing_to_be_found_is_the_middle_and_a_note() -> None:
    found = look(Image.new("RGB", (300, 200), (90, 120, 150)))
    assert found.square == middle_square(300, 200)
    assert found.how == "middle"
    assert found.note is not None
    assert "--crop" in found.note
    assert look(Image.new("RGB", (200, 200), (90, 120, 150))).note is None


def test_none_is_the_middle_square_of_anything() -> None:
    found = look(canvas(500, 260, 250, 40), crop="none")
    assert (found.square, found.how) == (middle_square(500, 260), "middle")


def test_a_mask_of_the_whole_photo_says_where_the_object_is(tmp_path: Path) -> None:
    photo = Image.effect_noise((400, 240), 90).convert("RGB")  # nothing that a segmenter could find
    drawn = Image.new("L", (200, 120))
    drawn.paste(Image.new("L", (60, 80), 255), (120, 30))
    drawn.save(tmp_path / "mask.png")
    found = look(photo, mask=str(tmp_path / "mask.png"))
    assert found.how == "auto: mask"
    centre = found.square.left + found.square.side / 2, found.square.top + found.square.side / 2
    assert centre == pytest.approx((300, 140), abs=30)
    cut_out = photo.copy()
    cut_out.putalpha(drawn.resize(photo.size))
    by_alpha = look(cut_out, mask="auto")
    assert by_alpha.how == "auto: alpha"
    assert overlap(by_alpha.square, found.square) > 0.9


@pytest.mark.parametrize("square_mask", ["file", "tensor"])
def test_a_square_mask_belongs_to_the_middle_square(square_mask: str, tmp_path: Path) -> None:
    Image.new("L", (50, 50), 255).save(tmp_path / "mask.png")
    mask = torch.ones(SIZE, SIZE) if square_mask == "tensor" else str(tmp_path / "mask.png")
    found = look(canvas(500, 260, 250, 40), mask=mask)
    assert (found.square, found.how) == (middle_square(500, 260), "middle")


def test_cars_are_letterboxed(tmp_path: Path) -> None:
    photo = Image.new("RGB", (400, 300), (200, 210, 220))
    drawn = Image.new("L", (400, 300))
    drawn.paste(255, (100, 140, 300, 220))
    drawn.save(tmp_path / "mask.png")
    found = look(photo, mask=str(tmp_path / "mask.png"), category="car")
    left, top, right, bottom = found.square.box
    assert (left, right) == pytest.approx((94, 306), abs=6)  # 3 % of the car's width on either side
    assert (top + bottom) / 2 == pytest.approx(180, abs=3)
    assert found.square.rows == pytest.approx((134, 226), abs=6)
    shown = found.image.amax(dim=(0, 2)) > 0.5
    assert shown[SIZE // 2]
    assert not shown[: SIZE // 5].any()
    assert not shown[-SIZE // 5 :].any()


def test_of_unknown_framings_square_photos_stay_whole_and_others_stay_inside() -> None:
    info = replace(HEADS, name="mine", category="object")
    assert look(canvas(640, 640, 60, 380), category="object", info=info).how == "whole"
    found = look(canvas(500, 260, 250, 40), category="object", info=info)
    assert found.how == "auto: border"
    assert found.square.inside(500, 260)
    left, _, right, _ = found.square.box
    assert left <= 300
    assert right >= 420


@pytest.mark.parametrize("crop", ["600,0,50", (0, 300, 50), (0, 0, 2000)])
def test_squares_that_do_not_fit_the_photo_are_refused(crop: CropLike) -> None:
    with pytest.raises(InputError, match="crop"):
        look(canvas(500, 260, 250, 40), crop=crop)


def test_arrays_and_tensors_are_cropped_as_files_are() -> None:
    array = np.asarray(canvas(500, 260, 250, 40))
    floats = torch.from_numpy(array.copy()).movedim(-1, 0) / 255
    assert look(floats).square == upright_square()


def test_overlap_is_the_share_of_the_joint_area() -> None:
    assert overlap(Square(0, 0, 10), Square(0, 0, 10)) == 1
    assert overlap(Square(0, 0, 10), Square(5, 0, 10)) == pytest.approx(1 / 3)
    assert overlap(Square(0, 0, 10), Square(20, 0, 10)) == 0
