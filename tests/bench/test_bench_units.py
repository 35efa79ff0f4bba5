from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from bozzetto.bench.score import Shape
from bozzetto.bench.units import Unit, read_pictures, read_unit, unit_path, write_unit
from bozzetto.errors import OutputError
from bozzetto.metrics.normals import angle_between_deg
from bozzetto.metrics.report import unit_normals_from_depth
from bozzetto.types import Camera

SIZE = 12
UNIT = Unit("prior:box", 3, None, {"side_x100": 1.25, "edge_correctness": math.nan}, 0.5, (0.1,) * 6, (0.2,) * 6)
SETTINGS = {"row": "prior:box", "fit": {"lr": 0.1, "stages": (1, 2)}}


def shape(normal: bool) -> Shape:
    rng = torch.Generator().manual_seed(0)
    depth = 0.95 + 0.01 * torch.rand(1, SIZE, SIZE, generator=rng)
    n = torch.nn.functional.normalize(
        torch.rand(3, SIZE, SIZE, generator=rng) - torch.tensor([0.5, 0.5, 2.0])[:, None, None], dim=0
    )
    return Shape(depth, torch.ones_like(depth), depth, torch.zeros(6), normal_posed=n if normal else None)


@pytest.mark.parametrize("seed", [None, 4])
def test_what_is_written_is_read_back(tmp_path: Path, seed: int | None) -> None:
    path = unit_path(tmp_path, "prior:box", 3, seed)
    assert read_unit(path, SETTINGS) is None
    write_unit(path, UNIT, SETTINGS, shape(True), Camera(SIZE))
    unit = read_unit(path, SETTINGS)
    assert unit is not None
    assert unit.scores["edge_correctness"] != unit.scores["edge_correctness"]  # not a number, and still so
    assert unit.scores["side_x100"] == 1.25
    assert (unit.row, unit.head, unit.seed, unit.seconds) == ("prior:box", 3, None, 0.5)
    assert (unit.view, unit.true_view) == (UNIT.view, UNIT.true_view)
    assert unit.yaw_deg == pytest.approx(math.degrees(0.2))


def test_every_piece_has_a_place_of_its_own(tmp_path: Path) -> None:
    places = [unit_path(tmp_path, row, h, s) for row in ("fit", "prior:box") for h in (0, 1) for s in (None, 0, 1)]
    assert len(set(places)) == 12
    assert all(":" not in str(path.relative_to(tmp_path)) for path in places)


def test_pictures_are_kept_and_missing_normals_come_from_the_depth(tmp_path: Path) -> None:
    for given in (True, False):
        path = tmp_path / f"{given}.json"
        write_unit(path, UNIT, SETTINGS, shape(given), Camera(SIZE))
        depth, normal = read_pictures(path)
        assert torch.equal(depth, shape(given).depth_posed)
        expected = shape(True).normal_posed if given else unit_normals_from_depth(depth[None], Camera(SIZE))[0]
        assert expected is not None
        steep = expected[2:] > -0.25  # beyond what the files hold
        angles = torch.where(steep, torch.zeros(()), angle_between_deg(normal[None], expected[None])[0])
        assert angles.max() < 0.02


def test_pieces_of_other_settings_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = unit_path(tmp_path, "fit", 0, 0)
    write_unit(path, UNIT, SETTINGS, shape(False), Camera(SIZE))
    with pytest.raises(OutputError, match=r"other settings \(fit.lr\)"):
        read_unit(path, {**SETTINGS, "fit": {"lr": 0.2, "stages": (1, 2)}})
    stored = json.loads(path.read_text())
    for wrong in ("{", "[]", json.dumps({**stored, "scores": None}), json.dumps({k: stored[k] for k in ("settings",)})):
        path.write_text(wrong)
        with pytest.raises(OutputError, match="damaged"):
            read_unit(path, SETTINGS)
