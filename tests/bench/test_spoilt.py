"""The truth with one thing wrong scores as that one thing does."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from bozzetto.bench.datasets import HeadTruth, load_packed_heads
from bozzetto.bench.rows import FAULTS, ROWS
from bozzetto.bench.run_heads import packed_heads
from bozzetto.bench.score import score_head
from bozzetto.bench.spoilt import WAYS, Spoilt
from bozzetto.keep import Quiet
from bozzetto.types import Camera
from tiny_heads import write_heads


@pytest.fixture(scope="module")
def sphere(tmp_path_factory: pytest.TempPathFactory) -> HeadTruth:
    """Seen from the front, its centre in the pivot."""
    return load_packed_heads(write_heads(tmp_path_factory.mktemp("heads") / "heads.npz", 1, size=64)).take(0)


def scores(head: HeadTruth, row: str) -> dict[str, float]:
    made = Spoilt(row).make(head, None, Path(), Quiet())
    return score_head(made.shape, head, Camera(head.image.shape[-1]))


def test_every_fault_is_a_row_and_has_its_way() -> None:
    assert set(FAULTS) <= set(ROWS)
    assert {way for way, _ in FAULTS.values()} == set(WAYS)
    assert all(ROWS[name].kind == "spoilt" and ROWS[name].detail == name for name in FAULTS)


def test_the_height_field_itself_loses_next_to_nothing(sphere: HeadTruth) -> None:
    assert scores(sphere, "blurred:0")["mad_depth_deg"] < 1
    assert scores(sphere, "blurred:0")["side_x100"] < 0.02


def test_a_sphere_does_not_mind_being_turned_about_its_centre_where_it_is_known(sphere: HeadTruth) -> None:
    """Its far side is not: a height field has what the front shows, so the errors stay at the rim that turns in."""
    for row, axis in (("tilted:4", 0), ("turned:4", 1)):
        made = Spoilt(row).make(sphere, None, Path(), Quiet())
        inside = torch.nn.functional.max_pool2d(1 - sphere.mask.float(), 13, 1, 6)[0, 0] == 0
        assert inside.sum() > 200
        assert (made.shape.depth_posed[0] - sphere.depth[0, 0])[inside].abs().max() < 2e-4
        assert torch.allclose(made.shape.view, math.radians(4) * torch.eye(6)[axis])


def test_a_stretched_relief_errs_in_proportion(sphere: HeadTruth) -> None:
    """Depths are near 1, so the deviation of their logarithms is |factor - 1| times that of the relief."""
    half, fifth, quarter = (scores(sphere, f"stretched:{f}")["side_x100"] for f in ("1.5", "0.8", "1.25"))
    assert half / quarter == pytest.approx(2, rel=0.03)
    assert quarter / fifth == pytest.approx(1.25, rel=0.03)


def test_more_of_a_fault_is_worse_for_a_head() -> None:
    head = load_packed_heads(packed_heads(64), novel=False).take(6)
    for way in ("blurred", "tilted", "turned"):
        found = [scores(head, name) for name, (kind, _) in FAULTS.items() if kind == way]
        # A blur takes from SIDE the outline's jumps before it costs anything.
        for name in ("mad_depth_deg",) if way == "blurred" else ("mad_depth_deg", "side_x100"):
            values = [one[name] for one in found]
            assert values == sorted(values), (way, name)
            assert values[0] < values[-1]
