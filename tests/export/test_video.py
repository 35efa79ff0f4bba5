from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_dome import file_size_limit

from bozzetto.errors import OutputError
from bozzetto.export.films import each_once, even, relight_frames, turn_frames
from bozzetto.export.images import to_uint8
from bozzetto.export.paths import turn_path
from bozzetto.export.turn import turned
from bozzetto.export.video import write_gif, write_mp4, write_webp
from bozzetto.results import Reconstruction


def _read(path: Path) -> tuple[dict, list[np.ndarray]]:
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def _noise(count: int, size: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    return (generator.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(count))


def test_a_film_has_its_frames_its_size_and_its_pictures(scene: Reconstruction, tmp_path: Path) -> None:
    frames = list(turn_frames(scene, count=8, size=47))
    assert frames[0].shape == (48, 48, 3)  # even, for yuv420p
    meta, read = _read(write_mp4(iter(frames), tmp_path / "film.mp4", fps=24))
    assert meta["codec"] == "h264"
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["fps"] == 24
    assert len(read) == 8
    for wrote, back in zip(frames, read, strict=True):
        assert np.abs(wrote.astype(int) - back).mean() < 6


def test_frames_drawn_once_are_the_frames_drawn_each(scene: Reconstruction) -> None:
    path, drawn = turn_path(8), []

    def draw(views: torch.Tensor) -> Iterator[torch.Tensor]:
        for view in views:
            drawn.append(view)
            yield from turned(scene, view[None], 32)

    frames = list(each_once(path, draw))
    assert len(drawn) == 5  # of 8 poses on the swing, 3 are passed twice
    for frame, view in zip(frames, path, strict=True):
        assert np.array_equal(frame, to_uint8(next(turned(scene, view[None], 32))))


def test_a_round_of_light_changes_the_picture_and_not_the_outline(scene: Reconstruction) -> None:
    frames = np.stack(list(relight_frames(scene, count=4, size=32))).astype(int)
    assert np.ptp(frames, axis=0).max() > 60
    assert (np.ptp(frames, axis=0)[0, 0] == 0).all()


def test_a_film_of_nothing_is_refused(tmp_path: Path) -> None:
    for write in (write_mp4, write_webp, write_gif):
        with pytest.raises(OutputError, match="no frames"):
            write(iter(()), tmp_path / "film")
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_does_not_fit_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(20_000), pytest.raises(OutputError, match="ffmpeg"):
        write_mp4(_noise(30, 128), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_film_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from _noise(3, 32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(frames(), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


def test_names_that_ffmpeg_could_misread(tmp_path: Path) -> None:
    path = write_mp4(_noise(2, 16), tmp_path / "-i concat:100%d.mp4")
    assert len(_read(path)[1]) == 2


def test_gif_has_its_frames_and_loops(scene: Reconstruction, tmp_path: Path) -> None:
    path = write_gif(turn_frames(scene, count=8, size=32), tmp_path / "a.gif", fps=20)
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        assert gif.n_frames == 8
        assert gif.info["duration"] == 50


def test_even() -> None:
    assert [even(n) for n in (2, 3, 255, 256)] == [2, 4, 256, 256]


def test_webp_has_its_frames_in_true_colours_and_loops(scene: Reconstruction, tmp_path: Path) -> None:
    frames = list(turn_frames(scene, count=8, size=32))
    again = write_webp(iter(frames), tmp_path / "again.webp", fps=20)
    path = write_webp(iter(frames), tmp_path / "a.webp", fps=20)
    assert path.read_bytes() == again.read_bytes()
    with Image.open(path) as film:
        assert film.format == "WEBP"
        assert film.info["loop"] == 0
        assert film.n_frames == 8
        for place, frame in enumerate(frames):
            film.seek(place)
            film.load()
            assert film.info["duration"] == 50
            assert np.abs(np.array(film.convert("RGB")).astype(int) - frame).mean() < 6


def test_a_webp_that_does_not_fit_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with file_size_limit(20_000), pytest.raises(OutputError, match="ffmpeg"):
        write_webp(_noise(30, 128), tmp_path / "film.webp")
    assert list(tmp_path.iterdir()) == []
