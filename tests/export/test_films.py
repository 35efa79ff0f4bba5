from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.errors import InputError
from bozzetto.export.films import FILMS, film_frames, swing_frames
from bozzetto.export.images import to_uint8
from bozzetto.export.options import FilmOptions, told
from bozzetto.export.paths import nod_path, relight_path, turn_path
from bozzetto.export.turn import turned
from bozzetto.export.video import write_gif
from bozzetto.results import Reconstruction

COUNT, SIZE = 12, 32


@pytest.mark.parametrize("name", FILMS)
def test_every_film_has_its_frames_and_closes(name: str, gan_scene: Reconstruction) -> None:
    """The step from the last frame to the first is no jump: no larger than the largest within."""
    frames = list(film_frames(gan_scene, name, COUNT, SIZE))
    assert len(frames) == COUNT
    assert {frame.shape for frame in frames} == {(SIZE, SIZE, 3)}
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise([*frames, frames[0]])]
    assert max(steps) > 0.5
    assert steps[-1] <= 1.05 * max(steps[:-1]) + 0.5


def test_both_turns_and_relights_at_once(scene: Reconstruction) -> None:
    views, lights = turn_path(COUNT), relight_path(COUNT, scene.light)
    for i, frame in enumerate(film_frames(scene, "both", COUNT, SIZE)):
        alone = next(turned(scene, views[i : i + 1], SIZE, lights[i]))
        assert np.array_equal(frame, to_uint8(alone))


def test_a_nod_shows_the_nods_views(scene: Reconstruction) -> None:
    """The way back shows the frames of the way there, whose angles differ in the last bit: a grey level at most."""
    for frame, view in zip(film_frames(scene, "nod", COUNT, SIZE), nod_path(COUNT), strict=True):
        alone = to_uint8(next(turned(scene, view[None], SIZE)))
        assert np.abs(frame.astype(int) - alone).max() <= 1


def test_one_light_a_view_or_one_for_all(scene: Reconstruction) -> None:
    views = turn_path(4)
    same = [to_uint8(image) for image in turned(scene, views, SIZE)]
    for light in (scene.light, scene.light.expand(4, 4)):
        assert np.array_equal([to_uint8(image) for image in turned(scene, views, SIZE, light)], same)


def test_kept_pictures_are_shown_as_they_are_and_blended_between() -> None:
    """Picture i of 9 is grey 20 i, so the frames are the swing itself: 80 + 80 sin."""
    pictures = torch.arange(0, 180, 20, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    frames = np.stack(list(swing_frames(pictures, 20, 24)))
    assert frames.shape == (20, 24, 24, 3)
    expected = 80 + 80 * np.sin(np.arange(20) * 2 * math.pi / 20)
    assert np.abs(frames - expected[:, None, None, None]).max() <= 1
    assert np.ptp(np.stack(list(swing_frames(pictures[:1], 3, 24)))) == 0


def test_films_that_cannot_be(scene: Reconstruction) -> None:
    with pytest.raises(InputError, match="no path 'spin'; choose from turn, nod"):
        film_frames(scene, "spin")
    with pytest.raises(InputError, match="through-gan RESULT"):
        film_frames(scene, "gan_relight")


@pytest.mark.parametrize("bad", [{"size": 8}, {"size": 5000}, {"seconds": 0.0}, {"seconds": math.inf}, {"fps": 0}])
def test_odd_lengths_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="cannot be"):
        FilmOptions(**bad)


def test_a_film_has_seconds_times_rate_frames_and_one_at_least() -> None:
    assert FilmOptions(seconds=2.5, fps=10).count == 25
    assert FilmOptions(seconds=0.001, fps=1).count == 1


def test_frames_are_told_of_as_they_go_by() -> None:
    heard: list[tuple[str, int, int]] = []
    frames = told(iter("abc"), "film", 3, lambda *what: heard.append(what))
    assert next(frames) == "a"
    assert heard == []
    assert next(frames) == "b"
    assert heard == [("film", 1, 3)]
    assert list(frames) == ["c"]
    assert heard[-1] == ("film", 3, 3)


def test_a_gif_comes_near_to_its_frames_with_one_palette(scene: Reconstruction, tmp_path: Path) -> None:
    frames = list(film_frames(scene, "turn", COUNT, 64))
    with Image.open(write_gif(iter(frames), tmp_path / "a.gif", fps=10)) as gif:
        assert gif.n_frames == COUNT
        for i, frame in enumerate(frames):
            gif.seek(i)
            assert gif.info["duration"] == 100
            shown = np.array(gif.convert("RGB")).astype(int)
            assert np.abs(shown - frame).mean() < 2.5
            assert np.abs(shown - frame).max() < 48


def test_a_gif_is_never_faster_than_browsers_play(scene: Reconstruction, tmp_path: Path) -> None:
    frames = film_frames(scene, "turn", 60, 16)
    with Image.open(write_gif(frames, tmp_path / "a.gif", fps=60)) as gif:
        assert gif.n_frames == 50
        assert gif.info["duration"] == 20
