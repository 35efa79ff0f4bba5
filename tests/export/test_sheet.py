from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bozzetto.export.images import picture
from bozzetto.export.sheet import draw_sheet, factor_tiles, gan_rows, relight_tiles, turn_tiles, write_sheet
from bozzetto.results import Reconstruction


def test_tiles_are_named_and_large_enough(scene: Reconstruction) -> None:
    tiles = [*factor_tiles(scene), *turn_tiles(scene), *relight_tiles(scene)]
    assert len(tiles) == 18
    assert min(one.image.width for one in tiles) >= 160
    assert [one.label for one in turn_tiles(scene)] == ["-30°", "-15°", "0°", "+15°", "+30°"]
    assert len({one.label for one in tiles}) == 18


def test_every_tile_is_on_the_page(scene: Reconstruction) -> None:
    page = np.array(draw_sheet(scene))
    rows = (factor_tiles(scene)[:4], factor_tiles(scene)[4:], turn_tiles(scene), relight_tiles(scene))
    top = 0
    for row in rows:
        step = (page.shape[1] - 2 * 24 + 12) // len(row)  # tiles fill the width with gaps of 12 between margins of 24
        for column, one in enumerate(row):
            inner = np.array(one.image)[20:-20, 20:-20]
            left = 24 + column * step + 20
            strip = page[:, left : left + inner.shape[1]]
            starts = [y for y in range(top, len(page) - len(inner)) if np.array_equal(strip[y], inner[0])]
            assert any(np.array_equal(strip[y : y + len(inner)], inner) for y in starts), one.label
        top += row[0].image.height


def test_masks_are_enlarged_without_new_values(scene: Reconstruction) -> None:
    mask = factor_tiles(scene)[1]
    assert mask.label == "Object mask"
    assert set(np.unique(np.array(mask.image))) <= set(np.unique(np.array(picture(scene.mask))))


def test_title_and_note_stand_on_top_and_move_the_rest_down(scene: Reconstruction, tmp_path: Path) -> None:
    plain = np.array(draw_sheet(scene))
    titled = np.array(Image.open(write_sheet(scene, tmp_path / "s.png", "dome.png", "64 px")))
    extra = len(titled) - len(plain)
    assert extra > 0
    assert np.array_equal(titled[24 + extra :], plain[24:])
    head = titled[: 24 + extra].min(axis=(0, 2))
    assert head[24:150].min() < 80  # ink on the left
    assert head[-100:-24].min() < 160  # softer ink on the right
    assert head[300:600].min() > 200


def test_pictures_through_the_gan_stand_below_what_they_are_of(
    scene: Reconstruction, gan_scene: Reconstruction
) -> None:
    assert gan_rows(scene) == []
    turns, lights = gan_rows(gan_scene)
    assert [one.label for one in turns] == [f"GAN, {one.label}" for one in turn_tiles(scene)]
    assert [one.label for one in lights] == [f"GAN, {one.label}" for one in relight_tiles(scene)]
    # Picture i is grey 10 i along the turn and 15 i along the lights: first, last and three evenly between.
    assert [np.array(one.image).max() for one in turns] == [0, 60, 120, 180, 240]
    assert [np.array(one.image).max() for one in lights] == [0, 60, 120, 180, 240]
    plain, page = draw_sheet(scene), np.array(draw_sheet(gan_scene))
    row = turns[0].image.height + 22 + 12
    assert page.shape == (plain.height + 2 * row, plain.width, 3)
    middle = [int(page[y, plain.width // 2].max()) for y in range(len(page)) if np.ptp(page[y, 400:530]) == 0]
    assert middle.count(120) > 200  # the middle tiles of both rows
