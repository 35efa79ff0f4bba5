"""`bozzetto eval` on small results, against truths whose scores are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bozzetto.bench.datasets import decode_heads
from bozzetto.bench.npz import write_npz
from bozzetto.bench.score import score_head, shape_of
from bozzetto.cli.main import execute
from bozzetto.metrics.truth import fill_open
from bozzetto.results import Provenance, Reconstruction, assemble
from bozzetto.types import Camera, Factors
from tiny_heads import head_arrays

SIZE = 16


def head() -> dict[str, np.ndarray]:
    return head_arrays(SIZE, 3, 20.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The sphere of a head, said by two results of which the second is too flat."""
    place = tmp_path_factory.mktemp("results")
    truth = decode_heads({name: values[None] for name, values in head().items()})
    frontal = fill_open(truth.canonical_depth[0].nan_to_num(), truth.mask[0].float())[None]
    out = []
    for name, depth in (("right", frontal), ("flat", 1 + 0.3 * (frontal - 1))):
        factors = Factors(depth, torch.full((1, 3, SIZE, SIZE), 0.5), truth.view, truth.light)
        provenance = Provenance(input_name=f"{name}.jpg")
        photo = truth.image
        result = assemble(
            photo, photo, truth.mask.float(), factors, torch.zeros(1, 4), Camera(SIZE), provenance=provenance
        )
        out.append(result.save(place / name, formats=()))
    return out


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, Any]:
    capsys.readouterr()
    assert execute(["eval", *map(str, argv)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_results_own_depth_has_no_error_and_says_which_frame(
    results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Reconstruction.load(results[0])
    inside = (mine.mask > 0.5) & (mine.recon_mask > 0.5)
    for frame, depth in (("posed", mine.depth_posed), ("canonical", mine.depth)):
        known = torch.where(inside, depth, torch.nan)[0].numpy()
        np.save(tmp_path / "d.npy", 7 * known)  # in other units
        found = run(capsys, results[0], "--truth", tmp_path / "d.npy", "--frame", frame, "--json", tmp_path / "s.json")
        assert json.loads((tmp_path / "s.json").read_text()) == found
        (row,) = found["results"]
        assert (row["frame"], row["size"]) == (frame, SIZE)
        assert row["scores"]["side_x100"] < 1e-3
        assert row["scores"]["mad_depth_deg"] < 0.05
        assert row["scores"]["mad_published_deg"] > 0.1
        assert "mean" not in found


def test_a_folder_of_truths_serves_several_results_and_the_mean_is_told(
    results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Reconstruction.load(results[0])
    known = torch.where((mine.mask > 0.5) & (mine.recon_mask > 0.5), mine.depth_posed, torch.nan)[0].numpy()
    np.savez(tmp_path / "right.npz", depth=known, normal=mine.normal_posed.permute(1, 2, 0).numpy())
    np.save(tmp_path / "depth.npy", known)
    found = run(capsys, *results, "--truth", tmp_path)
    right, flat = found["results"]
    assert [Path(row["truth"]).name for row in found["results"]] == ["right.npz", "depth.npy"]
    assert right["scores"]["mad_mesh_deg"] < 0.05
    assert "mad_mesh_deg" not in flat["scores"]
    assert flat["scores"]["side_x100"] > 0.3
    assert found["mean"]["side_x100"] == pytest.approx((right["scores"]["side_x100"] + flat["scores"]["side_x100"]) / 2)


def test_a_head_file_scores_all_that_is_known_of_it(
    results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_npz(tmp_path / "head.npz", head())
    (row,) = run(capsys, results[0], "--truth", tmp_path / "head.npz")["results"]
    result = Reconstruction.load(results[0])
    heads = decode_heads({name: values[None] for name, values in head().items()})
    expected = score_head(shape_of(result), heads, result.camera)
    for name, value in expected.items():
        assert row["scores"][name] == (pytest.approx(value) if np.isfinite(value) else None), name
    assert {"canonical_side_x100", "relight_error", "albedo_error", "light_error_deg", "view_error_deg"} <= set(
        expected
    )


@pytest.mark.parametrize(
    ("truth", "code", "words"),
    [("nowhere.png", 2, "no file or folder"), ("text.txt", 2, "no depth map"), ("small.npy", 2, "give a larger one")],
)
def test_what_cannot_be_used_is_one_sentence(
    truth: str, code: int, words: str, results: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("no depth")
    np.save(tmp_path / "small.npy", np.ones((4, 4)))
    out = tmp_path / "s.json"
    assert execute(["eval", str(results[0]), "--truth", str(tmp_path / truth), "--json", str(out)]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert not out.exists()
    assert execute(["eval", str(tmp_path), "--truth", str(tmp_path / "small.npy")]) == 5
    assert execute(["eval", "--truth", str(tmp_path / "small.npy")]) == 2
