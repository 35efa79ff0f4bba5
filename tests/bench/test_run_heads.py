"""The table on heads that are exact and small, piece by piece."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.makers import Fixed, Made, Perfect, PriorAlone
from bozzetto.bench.npz import write_npz
from bozzetto.bench.rows import ROWS
from bozzetto.bench.run_heads import HeadsRun, load_average, load_test_heads, run_heads, with_set
from bozzetto.bench.score import flat_shape
from bozzetto.bench.units import Unit
from bozzetto.errors import InputError, OutputError
from bozzetto.keep import Progress
from tiny_heads import head_arrays, write_heads, write_training

SIZE = 16


class Counting:
    """A maker that writes down what it is asked for, and may fail on its way."""

    def __init__(self, fail_at: int | None = None, name: str = "a") -> None:
        self.fail_at, self.name, self.made = fail_at, name, 0

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        return {"name": self.name, "seed": seed}

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        if self.made == self.fail_at:
            raise KeyboardInterrupt
        self.made += 1
        depth = 1 + 0.01 * (seed or 0) * torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(self.made))
        return Made(flat_shape(depth, heads.image[0]), 1.5, {"mask_iou": 1.0})


@pytest.fixture
def config(tmp_path: Path) -> HeadsRun:
    return HeadsRun(n=3, test_heads=write_heads(tmp_path / "heads.npz"), json=tmp_path / "out" / "table.json")


def go(config: HeadsRun, maker: Counting, overwrite: bool = False) -> tuple[dict[str, Any], list[Unit]]:
    heard: list[Unit] = []
    rows = [(ROWS["perfect"], Perfect()), (ROWS["quick"], maker)]
    chosen = load_test_heads(config, SIZE)
    return run_heads(config, rows, [0, 1], chosen, None, overwrite, on_unit=heard.append), heard


def test_the_json_holds_what_was_promised(config: HeadsRun) -> None:
    found, heard = go(config, Counting())
    assert json.loads(config.json.read_text()) == json.loads(json.dumps(found))
    assert {"rows", "machine", "versions"} <= set(found)
    promised = {"name", "n", "size", "seeds", "side_mean", "side_sd", "mad_mean", "mad_sd"}
    promised |= {"mad_published_mean", "coverage_mean", "seconds_mean"}
    for row in found["rows"]:
        assert promised <= set(row)
        assert (row["n"], row["size"]) == (3, SIZE)
    perfect, quick = found["rows"]
    assert perfect["side_mean"] < 1e-3
    assert perfect["mad_mean"] < 0.05
    assert perfect["mad_published_mean"] > 0.1
    assert quick["seeds"] == [0, 1]
    assert quick["seconds_mean"] == 1.5
    assert quick["yaw25_n"] == 1
    assert len(heard) == 3 + 6


def test_finished_pieces_are_not_made_again_and_an_interrupt_loses_nothing(config: HeadsRun) -> None:
    stopped = Counting(fail_at=4)
    with pytest.raises(KeyboardInterrupt):
        go(config, stopped)
    assert stopped.made == 4
    rest = Counting()
    found, _ = go(config, rest)
    assert rest.made == 2
    again = Counting()
    assert go(config, again)[0]["rows"] == found["rows"]
    assert again.made == 0
    more = Counting()
    wider, _ = go(replace(config, n=4), more)
    assert more.made == 2
    assert wider["rows"][1]["n"] == 4
    fewer, heard = go(replace(config, start=1, n=2), Counting())
    assert {unit.head for unit in heard} == {1, 2}
    assert fewer["rows"][1]["n"] == 2


def test_pieces_of_other_settings_are_refused_and_can_be_overwritten(config: HeadsRun) -> None:
    go(config, Counting())
    with pytest.raises(OutputError, match=r"other settings \(name\)"):
        go(config, Counting(name="b"))
    anew = Counting(name="b")
    go(config, anew, overwrite=True)
    assert anew.made == 6
    other = replace(config, test_heads=write_heads(config.json.parent / "others.npz", size=32))
    with pytest.raises(OutputError, match=r"other settings \(photo, truth\)"):
        run_heads(other, [(ROWS["quick"], Counting(name="b"))], [0], load_test_heads(other, 32), None)


def test_the_table_is_not_written_over_something_else(config: HeadsRun) -> None:
    config.json.parent.mkdir()
    for text in ("text", "{}", '{"rows": [{"head": 1}]}'):
        config.json.write_text(text)
        with pytest.raises(OutputError, match="no table"):
            go(config, Counting())
        assert config.json.read_text() == text


@pytest.mark.parametrize(("start", "n"), [(0, 5), (3, 2), (-1, 1), (0, 0)])
def test_there_must_be_as_many_heads(config: HeadsRun, start: int, n: int) -> None:
    with pytest.raises(InputError, match="There are 4 test heads of 16 px"):
        load_test_heads(replace(config, start=start, n=n), SIZE)


def test_side_faces_alone_keep_their_numbers_and_share_their_pieces(config: HeadsRun) -> None:
    """Of the four heads every second one is turned by 40 degrees."""
    whole = Counting()
    go(replace(config, n=4), whole)
    sides = replace(config, n=2, yaw_over=25.0)
    chosen = load_test_heads(sides, SIZE)
    assert chosen.numbers == (1, 3)
    assert torch.equal(chosen.heads.view, load_test_heads(replace(config, n=4), SIZE).heads.view[[1, 3]])
    again = Counting()
    found, heard = go(sides, again)
    assert again.made == 0
    assert {unit.head for unit in heard} == {1, 3}
    row = found["rows"][1]
    assert (row["n"], row["yaw25_n"]) == (2, 2)
    for name in ("side", "mad"):
        assert row[f"yaw25_{name}_mean"] == pytest.approx(row[f"{name}_mean"])
        assert row[f"yaw25_{name}_sd"] == pytest.approx(row[f"{name}_sd"])
    assert (found["test_heads"]["heads"], found["test_heads"]["yaw_over_deg"]) == ([1, 3], 25)
    assert load_test_heads(replace(sides, start=1, n=1), SIZE).numbers == (3,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"yaw_over": 25.0}, "There are 2 test heads of 16 px that are turned by more than 25 degrees"),
        ({"yaw_over": -1.0}, "--yaw-over is an angle"),
        ({"yaw_over": 90.0}, "--yaw-over is an angle"),
        ({"yaw_over": float("nan")}, "--yaw-over is an angle"),
    ],
)
def test_a_turn_that_leaves_too_few_heads_or_is_none_is_refused(
    config: HeadsRun, changes: dict[str, float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load_test_heads(replace(config, **changes), SIZE)  # type: ignore[arg-type]


def test_a_set_is_its_test_heads_and_its_training_heads(config: HeadsRun, tmp_path: Path) -> None:
    made = write_training(tmp_path / "made")
    (made / "test").mkdir()
    for i in (0, 1):
        write_npz(made / "test" / f"{i:06d}.npz", head_arrays(SIZE, i, 40.0 * i))
    asked = with_set(replace(config, n=2, set=made, test_heads=None))
    chosen = load_test_heads(asked, SIZE)
    assert (chosen.numbers, chosen.source) == ((0, 1), "made/test")
    packed = load_test_heads(replace(config, n=2), SIZE).heads  # the same two
    for name in ("image", "normal", "view", "turned_image", "relit_light"):
        assert torch.equal(getattr(chosen.heads, name), getattr(packed, name)), name
    assert torch.equal(load_average(asked, SIZE, 9), load_average(replace(config, train_heads=made), SIZE, 9))
    with pytest.raises(InputError, match="leave --test-heads out"):
        with_set(replace(config, set=made))
    with pytest.raises(InputError, match="has no split test"):
        with_set(replace(config, set=tmp_path / "nowhere", test_heads=None))
    write_npz(made / "test" / "000002.npz", head_arrays(32, 2, 0.0))
    with pytest.raises(InputError, match=r"000002.npz differs"):
        load_test_heads(asked, SIZE)


def test_heads_of_another_size_are_refused(config: HeadsRun) -> None:
    with pytest.raises(InputError, match="16 px, and 64 px are needed"):
        load_test_heads(config, 64)
    with pytest.raises(InputError, match="no packed test heads of 48 px"):
        load_test_heads(HeadsRun(), 48)


def test_the_average_is_that_of_the_training_heads_or_of_the_packed_file(config: HeadsRun, tmp_path: Path) -> None:
    torch.testing.assert_close(load_average(config, SIZE, 9), torch.full((1, SIZE, SIZE), 0.97), atol=2e-6, rtol=0)
    trained = replace(config, train_heads=write_training(tmp_path / "made"))
    mean = load_average(trained, SIZE, 9)
    assert mean[0, 8, 8] < 0.965
    assert mean[0, 0, 0] == pytest.approx(1.1)
    bare = replace(config, test_heads=write_heads(tmp_path / "bare.npz", average=False))
    with pytest.raises(InputError, match="--train-heads"):
        load_average(bare, SIZE, 9)


def test_makers_of_what_is_not_fitted(config: HeadsRun, tmp_path: Path) -> None:
    heads = load_test_heads(config, SIZE).heads.take(0)
    from bozzetto.keep import Quiet

    fixed = Fixed(torch.full((1, SIZE, SIZE), 0.97))
    assert torch.equal(fixed.make(heads, None, tmp_path, Quiet()).shape.depth_posed, fixed.depth)
    assert fixed.settings(heads, None) != Fixed(fixed.depth + 0.01).settings(heads, None)
    prior = PriorAlone("ellipsoid", "truth", "heads")
    made = prior.make(heads, None, tmp_path, Quiet())
    assert made.facts["mask_iou"] == 1
    assert made.shape.depth_posed[0, 8, 8] < made.shape.depth_posed[0, 0, 0]
    assert prior.settings(heads, None) != PriorAlone("box", "truth", "heads").settings(heads, None)
    other = load_test_heads(config, SIZE).heads.take(1)
    assert prior.settings(heads, None) != prior.settings(other, None)  # another mask
