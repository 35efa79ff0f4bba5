"""`bozzetto bench heads` from end to end: a 16 px generator of random weights, spheres for heads, few iterations."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image

from bozzetto.cli.main import execute
from bozzetto.config import ViewConfig
from bozzetto.gan.zoo import load_gan
from bozzetto.general_model import GeneralFacts, save_general
from bozzetto.method import instance
from bozzetto.nets.networks import make_networks
from bozzetto.results import is_result_folder
from tiny_heads import write_heads, write_training
from tiny_run import write_gan

FEW = [
    *("--albedo", "1", "--project", "1", "--factorise", "1", "--samples", "2", "--stages", "1"),
    *("--collect-batches", "1", "--prior.iterations", "3", "--prior.threshold", "0", "--turn.use", "False"),
    *("--nets.width", "0.25"),
]
INVERT = ["--inversion.steps", "2", "--inversion.start-samples", "8"]
TRAIN = ["--supervised.iterations", "2", "--supervised.batch", "2", "--supervised.width", "0.25"]


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    """All but the rows."""
    write_gan(tmp_path / "tiny.safetensors")
    return [
        *("bench", "heads", "--n", "2", "--start", "1", "--mask", "truth"),
        *("--test-heads", str(write_heads(tmp_path / "heads.npz"))),
        *("--gan", str(tmp_path / "tiny.safetensors"), "--json", str(tmp_path / "out" / "table.json")),
    ]


def test_rows_of_every_kind_end_in_one_table(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "constant,average,prior:ellipsoid,prior:smoothed-box,fit,supervised"
    train = ["--train-heads", str(write_training(tmp_path / "made")), *TRAIN]
    whole = [*argv, "--rows", rows, "--seeds", "0,1", *FEW, *INVERT, *train]
    assert execute(whole) == 0
    told = capsys.readouterr()
    out = tmp_path / "out"
    assert told.out.splitlines()[-1] == str(out / "table.json")
    first = (out / "table.json").read_bytes()
    found = {row["name"]: row for row in json.loads(first)["rows"]}
    assert list(found) == ["perfect", *rows.split(",")]
    assert found["perfect"]["mad_mean"] < 0.05 < found["perfect"]["mad_published_mean"]
    assert found["constant"]["seeds"] == []
    for name in ("fit", "supervised"):
        assert found[name]["seeds"] == [0, 1]
        assert found[name]["side_seed_sd"] > 0
    assert found["fit"]["mask_iou_mean"] == 1
    for name in ("canonical_side", "novel_psnr", "relight_error", "albedo_error", "light_error", "inversion_psnr"):
        assert found["fit"][f"{name}_mean"] is not None, name
    assert found["supervised"]["training_seconds_mean"] > 0
    page = (out / "table.md").read_text()
    assert all(f"| `{name}` | 2 |" in page for name in found)
    for picture in (out / "table.png", out / "table" / "gallery" / "prior-ellipsoid.png"):
        assert str(picture) in told.out
        with Image.open(picture) as image:
            image.load()
    assert not [path for path in out.rglob("*") if is_result_folder(path) or path.name.endswith(".partial")]
    assert execute(whole) == 0
    assert (out / "table.json").read_bytes() == first
    assert execute([*whole, "--inversion.steps", "3"]) == 5
    assert "other settings (inversion.steps)" in capsys.readouterr().err


def test_an_interrupted_fit_goes_on_and_ends_as_it_would_have(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [*argv, "--rows", "fit", *FEW, *INVERT]
    assert execute([*whole, "--json", str(tmp_path / "other" / "table.json")]) == 0
    check, calls = instance._check, []

    def stop(*args: object) -> None:
        calls.append(args)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        check(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(instance, "_check", stop)
    assert execute(whole) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(instance, "_check", check)
    assert execute(whole) == 0
    a, b = (json.loads((tmp_path / name / "table.json").read_text())["rows"][1] for name in ("out", "other"))
    for key in ("side_mean", "mad_mean", "novel_psnr_mean", "view_error_mean"):
        assert a[key] == b[key]


def test_results_are_kept_where_asked(argv: list[str], tmp_path: Path) -> None:
    assert execute([*argv, "--n", "1", "--rows", "fit", "--out", str(tmp_path / "kept"), *FEW, *INVERT]) == 0
    assert is_result_folder(tmp_path / "kept" / "fit" / "seed_0" / "head_001")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--rows", "general+refine"], 2, "no general model built in"),
        (["--rows", "general", "--general", "nowhere"], 3, "no general model 'nowhere'"),
        (["--rows", "pyramid"], 2, "no row 'pyramid'"),
        (["--rows", "quick", "--lr", "1"], 2, "belong to the row `fit`"),
        (["--rows", "constant", "--prior", "box"], 2, "belong to the row `fit`"),
        (["--rows", "supervised"], 2, "needs --train-heads"),
        (["--rows", "supervised", "--train-heads", "nowhere"], 2, "holds no heads"),
        (["--rows", "fit", "--size", "64"], 2, "16 px, not 64"),
        (["--rows", "constant", "--n", "9"], 2, "There are 4 test heads"),
        (["--seeds", "a"], 2, "--seeds"),
        (["--category", "sofa"], 2, "sofa"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    more: list[str], code: int, words: str, argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([*argv, *more]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_a_generator_there_are_heads_of_128_px_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "big.json"
    assert execute(["bench", "heads", "--rows", "constant", "--size", "128", "--n", "1", "--json", str(out)]) == 0
    perfect, constant = json.loads(out.read_text())["rows"]
    assert constant["size"] == 128
    assert perfect["mad_mean"] < 0.05
    assert perfect["mad_published_mean"] > 8
    assert constant["side_mean"] > 1


def test_the_general_models_rows_are_its_preview_and_its_refinement(argv: list[str], tmp_path: Path) -> None:
    info = load_gan(argv[argv.index("--gan") + 1]).info
    facts = GeneralFacts(
        "tiny", "heads", "MIT", 16, info.w_dim, 0.25, ViewConfig(), (0.0,) * 6, info.name, info.sha256, 3, offset=True
    )
    model = tmp_path / "general.safetensors"
    save_general(model, make_networks(16, info.w_dim, torch.Generator().manual_seed(0), width=0.25), facts)
    given = ["--rows", "general,general+refine", "--general", str(model), "--n", "1", "--seeds", "0,1"]
    assert execute([*argv, *given, *INVERT]) == 0
    rows = json.loads(Path(argv[argv.index("--json") + 1]).read_text())["rows"]
    assert [row["name"] for row in rows] == ["perfect", "general", "general+refine"]
    assert rows[1]["side_mean"] != rows[2]["side_mean"]
    assert len(rows[2]["seeds"]) == 2


def test_animals_are_made_and_scored_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "animals"
    few = ["--size", "16", "--supersample", "1", "--train", "1", "--test", "2"]
    assert execute(["bench", "make-animals", "--out", str(made), *few]) == 0
    assert capsys.readouterr().out == f"{made}\n"
    out = tmp_path / "table.json"
    ask = ["bench", "heads", "--set", str(made), "--category", "animals", "--mask", "truth", "--n", "2"]
    assert execute([*ask, "--rows", "average,prior:ellipsoid", "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert [row["n"] for row in content["rows"]] == [2, 2, 2]
    assert content["test_heads"]["file"] == "animals/test"
    assert "animals/test, 16 px" in out.with_suffix(".md").read_text()
    refused = tmp_path / "refused.json"
    assert execute([*ask, "--test-heads", str(made / "test"), "--rows", "average", "--json", str(refused)]) == 2
    assert "leave --test-heads out" in capsys.readouterr().err
    assert not refused.exists()
