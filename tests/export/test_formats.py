from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.errors import InputError
from bozzetto.export.depth16 import read_depth16
from bozzetto.export.films import FILMS
from bozzetto.export.formats import DEFAULT_FORMATS, FILE_NAMES, FORMATS, depth_scales, export_all
from bozzetto.export.options import ExportOptions, FilmOptions
from bozzetto.results import Reconstruction


def test_all_formats_together_write_the_declared_names_and_no_others(gan_scene: Reconstruction, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="usd-core is not installed")
    options = ExportOptions(film=FilmOptions(size=32, seconds=0.2), paths=tuple(FILMS))
    written = export_all(gan_scene, tmp_path / "out", FORMATS, options)
    assert len(written) == len(FILE_NAMES)
    assert {path.name for path in written} == FILE_NAMES
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILE_NAMES
    assert all(path.stat().st_size > 0 for path in written)


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(scene: Reconstruction, tmp_path: Path) -> None:
    for formats, path, words in (
        (["png", "fbx"], "turn", "no export format 'fbx'"),
        (["png", "gif"], "spin", "no path 'spin'"),
        (["png", "mp4"], "gan_turn", "through-gan RESULT"),
    ):
        with pytest.raises(InputError, match=words):
            export_all(scene, tmp_path / "out", formats, ExportOptions(paths=(path,)))
    assert not (tmp_path / "out").exists()


def test_the_default_has_one_form_of_everything() -> None:
    assert set(FORMATS) - set(DEFAULT_FORMATS) == {"gif", "webp", "mp4", "ply", "stl", "usdz"}


def test_films_through_the_gan_are_left_out_where_there_are_none(scene: Reconstruction, tmp_path: Path) -> None:
    assert export_all(scene, tmp_path / "out", ["gan"]) == []


def test_it_tells_of_every_frame(scene: Reconstruction, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    film = FilmOptions(size=16, seconds=0.25, fps=16)
    options = ExportOptions(film=film, paths=("nod",), tell=lambda *told: heard.append(told))
    export_all(scene, tmp_path, ["glb", "gif"], options)
    assert heard == [("glb", 0, 0), ("gif", 0, 0), *(("nod.gif", i, 4) for i in range(1, 5))]


def test_pictures_are_the_records_tensors(scene: Reconstruction, tmp_path: Path) -> None:
    export_all(scene, tmp_path, ["png"])
    photo = torch.from_numpy(np.array(Image.open(tmp_path / "input.png"))).permute(2, 0, 1) / 255
    assert (photo - scene.image).abs().max() <= 0.5 / 255 + 1e-6
    for name, depth in (("depth16.png", scene.depth), ("depth16_posed.png", scene.depth_posed)):
        read, scale = read_depth16(tmp_path / name)
        assert scale == depth_scales(scene)[name]
        known = ~read.isnan()
        assert known.float().mean() > 0.8
        assert (read - depth)[known].abs().max() <= scale.quantum / 2 * (1 + 1e-6)


def test_other_files_in_the_folder_are_left_alone(scene: Reconstruction, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    export_all(scene, tmp_path, ["glb"])
    export_all(scene, tmp_path, ["glb"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mesh.glb", "notes.txt"]
