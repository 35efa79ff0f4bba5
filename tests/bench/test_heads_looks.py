from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bozzetto.bench.draws import head_generator, sample_background
from bozzetto.bench.heads_hair import over_hair_line_cm, surface_coordinates_cm
from bozzetto.bench.heads_looks import DISPLAY_GAMMA, HairStyle, sample_hair_style, sample_skin
from bozzetto.bench.heads_model import load_head_model
from bozzetto.bench.heads_render import HeadRenderer
from bozzetto.bench.heads_sample import sample_head
from bozzetto.bench.heads_texture import SIDE, look_up, make_textures
from bozzetto.bench.stage import GAMMA


@pytest.fixture(scope="module")
def renderer(toy_model: Path) -> HeadRenderer:
    return HeadRenderer(load_head_model(toy_model), 32, supersample=1)


def test_colours_are_made_linear_by_the_renderers_own_gamma() -> None:
    assert DISPLAY_GAMMA == GAMMA


def test_skin_is_redder_than_yellow_than_blue_and_darker_with_melanin() -> None:
    rng = np.random.default_rng(0)
    tones, melanin = zip(*(sample_skin(rng) for _ in range(300)), strict=True)
    tone = np.array(tones)
    assert (tone[:, 0] > tone[:, 1]).all()
    assert (tone[:, 1] > tone[:, 2]).all()
    assert np.corrcoef(tone[:, 1], melanin)[0, 1] < -0.9
    assert tone.max() < 0.9


def test_backgrounds_are_muted() -> None:
    rng = np.random.default_rng(0)
    ends = np.concatenate([sample_background(rng)[0] for _ in range(300)])
    assert ends.min() >= 0
    assert ends.max() <= 1
    assert np.median(np.ptp(ends, axis=1)) < 0.1


def test_every_kind_of_hair_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    styles = [sample_hair_style(rng, i % 2 == 0, rng.random(), i % 5 == 0) for i in range(300)]
    assert any(s.thickness_cm == 0 for s in styles)
    assert any(s.fall_cm > 0 for s in styles)
    assert any(s.fringe_cm > 0 for s in styles)
    assert any(s.curl_cm > 0 for s in styles)


def test_hair_only_ever_hides_what_is_behind_it(renderer: HeadRenderer) -> None:
    """The shell adds surface: no pixel sees farther with hair than without."""
    covered = 0
    for index in range(12):
        sample = sample_head(head_generator(0, "train", index), modes=3)
        bald = renderer.render(replace(sample, hair=replace(sample.hair, thickness_cm=0.0)))
        view = renderer.render(sample)
        both = view.mask & bald.mask
        assert (view.depth - bald.depth)[both].max(initial=0) < 1e-6
        covered += int((bald.depth - view.depth > 1e-3)[both].sum())
        assert np.nanmin(view.depth) > 0.9
        assert np.isfinite(view.image).all()
    assert covered > 30


def test_light_and_background_do_not_move_the_surface(renderer: HeadRenderer) -> None:
    sample = sample_head(head_generator(0, "train", 5), modes=3)
    other = replace(
        sample, skin=sample.skin * 0.5, background=1 - sample.background, hair_colour=sample.hair_colour / 2
    )
    a, b = renderer.render(sample), renderer.render(other, light=np.array([0.5, 0.4, 0.9, 0.0]))
    np.testing.assert_array_equal(a.depth, b.depth)
    np.testing.assert_array_equal(a.normal, b.normal)
    assert not np.array_equal(a.image, b.image)


def test_a_hair_line_recedes_where_the_style_says() -> None:
    azimuth = np.array([0.0, 0.62, 1.3, 2.5])
    plain = HairStyle(opacity=1.0, line_cm=0.0, temple_cm=0.0, peak_cm=0.0, sideburn_cm=0.0)
    height = np.full(4, 2.0)
    np.testing.assert_array_equal(over_hair_line_cm(height, azimuth, plain), height)
    np.testing.assert_allclose(over_hair_line_cm(height, azimuth, replace(plain, line_cm=1.5)), 0.5)
    temples = over_hair_line_cm(height, azimuth, replace(plain, temple_cm=3.0))
    assert temples[1] == pytest.approx(-1)
    assert temples[0] > 1.9
    sides = over_hair_line_cm(height, azimuth, replace(plain, sideburn_cm=3.0))
    assert sides[2] == pytest.approx(5)
    assert sides[3] == pytest.approx(2)


def test_the_crown_is_where_strands_begin() -> None:
    across, along = surface_coordinates_cm(np.array([[0.0, 14.5, 0.5], [0.0, 4.5, 9.5], [9.0, 4.5, 0.5]]))
    np.testing.assert_allclose(along, [0, 5 * np.pi, 5 * np.pi])
    np.testing.assert_allclose(across[1:], [0, 4.5 * np.pi])


def test_textures_repeat_and_have_unit_variance() -> None:
    textures = make_textures()
    for texture in (textures.grain, textures.blotch, textures.freckle, textures.strand):
        assert texture.std() == pytest.approx(1, abs=1e-3)
        assert abs(texture.mean()) < 1e-3
    i, j = np.array([3.0, 500.0], dtype=np.float32), np.array([7.0, 511.0], dtype=np.float32)
    np.testing.assert_allclose(look_up(textures.strand, i, j), textures.strand[[3, 500], [7, 511]])
    np.testing.assert_allclose(look_up(textures.strand, i + SIDE, j - SIDE), textures.strand[[3, 500], [7, 511]])
    middle = look_up(textures.strand, np.float32([0.5]), np.float32([-0.5]))
    assert middle[0] == pytest.approx(textures.strand[[0, 0, 1, 1], [0, -1, 0, -1]].mean(), abs=1e-6)
