from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.errors import InputError
from bozzetto.export.depth16 import read_depth16
from bozzetto.export.formats import DEFAULT_FORMATS, FILE_NAMES, FORMATS, depth_scales, export_all
from bozzetto.results import Reconstruction


def test_all_formats_together_write_the_declared_names_and_no_others(scene: Reconstruction, tmp_path: Path) -> None:
    written = export_all(scene, tmp_path / "out", FORMATS)
    assert {path.name for path in written} == FILE_NAMES
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILE_NAMES
    assert all(path.stat().st_size > 0 for path in written)


def test_an_unknown_format_is_refused_before_anything_is_written(scene: Reconstruction, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no export format 'stl'"):
        export_all(scene, tmp_path / "out", ["png", "stl"])
    assert not (tmp_path / "out").exists()


def test_the_default_leaves_out_the_gif_alone() -> None:
    assert set(FORMATS) - set(DEFAULT_FORMATS) == {"gif"}


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
