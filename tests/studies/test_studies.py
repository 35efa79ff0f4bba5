"""`bozzetto study` from end to end: a 16 px generator of random weights, spheres for heads, hardly an iteration."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.bench.datasets import encode_depth
from bozzetto.bench.npz import write_npz
from bozzetto.cli.main import execute
from bozzetto.cli.study import told
from bozzetto.config import FitConfig, Stage
from bozzetto.errors import InputError
from bozzetto.presets import PRESETS
from bozzetto.results import Reconstruction
from bozzetto.studies.compare import Difference, Lead, claim_lower, difference, no_worse, verdict_of
from bozzetto.studies.desk import Arm, Desk, Piece
from bozzetto.studies.published import read_map
from bozzetto.studies.registry import STUDIES
from bozzetto.studies.scale import scaled, with_samples
from bozzetto.studies.statistics_of import depth_statistics
from bozzetto.studies.subjects import Subject, find_subjects
from bozzetto.studies.sweeps import worst
from tiny_heads import write_heads
from tiny_run import write_gan

HEADS = 13  # two that are studied, and eleven others to train on


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator, heads, and one folder of results for all studies."""
    folder = tmp_path_factory.mktemp("studies")
    write_gan(folder / "tiny.safetensors")
    write_heads(folder / "heads.npz", HEADS)
    (folder / "maps").mkdir()
    z = -np.linspace(0.9, 1.1, 32, dtype=np.float32)[None].repeat(32, 0)
    z[:4] = np.nan
    write_npz(folder / "maps" / "Car_-_Smoothed_box__plotly__im_0.npz", {"z": z})
    return folder


def command(place: Path, name: str, *words: str) -> list[str]:
    return [
        *(
            "study",
            name,
            "--n",
            "2",
            "--scale",
            "0.004",
            "--scale-prior",
            "--mask",
            "truth",
            "--device",
            "cpu",
            "--maps",
        ),
        *(str(place / "maps"), "--gan", str(place / "tiny.safetensors"), "--test-heads", str(place / "heads.npz")),
        *("--out", str(place / "out"), "--inversion.steps", "1", "--inversion.start-samples", "8"),
        *("--inversion.hopeless-db", "0", *words),
    ]


# The others differ from these in numbers; together they take minutes.
LONG = ("samples", "init", "prior-epochs", "speed", "generalize", "upstream-bugs", "priors", "variability")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in STUDIES])
def test_a_study_ends_in_tables_figures_and_verdicts(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = ["--seeds", "0,1"] if name in ("init", "variability") else []
    assert execute(command(place, name, *seeds)) == 0
    out = place / "out"
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == str(out / f"{name}.md")
    first = (out / f"{name}.json").read_bytes()
    record = json.loads(first)
    assert record["claims"]
    assert {claim["verdict"] for claim in record["claims"]} <= {"holds", "does not hold", "undecided", "not tested"}
    assert all((out / figure).stat().st_size > 500 for figure, _ in record["figures"])
    page = (out / f"{name}.md").read_text()
    assert all(claim["evidence"] in page for claim in record["claims"])
    assert record["command"] in page
    assert str(place) not in record["command"]
    # Whoever asks again is answered from what was kept: no fit is made, and the record has the same bits.
    times = {path: path.stat().st_mtime_ns for path in (out / "fits").rglob("*") if path.is_file()}
    assert execute(command(place, name, *seeds)) == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "fits").rglob("*") if path.is_file()} == times
    assert (out / f"{name}.json").read_bytes() == first


def test_studies_share_fits_and_one_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(command(place, "claims")) == 0
    before = set((place / "out" / "fits").iterdir())
    # The base on the same photos with the same seed is an arm of both.
    assert execute(command(place, "variability", "--seeds", "0,1")) == 0
    names = [piece["arm"] for piece in json.loads((place / "out" / "variability.json").read_text())["pieces"]]
    made = len(set((place / "out" / "fits").iterdir()) - before)
    assert made < len(names)
    page = place / "page.md"
    assert execute(["study", "page", "--results", str(place / "out"), "--out", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    text = page.read_text()
    record = json.loads((place / "out" / "claims.json").read_text())
    for figure, _ in record["figures"]:
        assert f"](out/{figure})" in text
        assert (page.parent / "out" / figure).is_file()
    assert text.index("## claims") < text.index("## variability")
    # A study of other things, in a folder of its own, has a part of its own, its figures with it.
    (place / "out" / "cats").mkdir()
    for file in ("claims.json", *(figure for figure, _ in record["figures"])):
        shutil.copy(place / "out" / file, place / "out" / "cats" / file)
    assert execute(["study", "page", "--results", str(place / "out"), "--out", str(page)]) == 0
    text = page.read_text()
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads[:2] == ["## claims", "## claims-cats"]
    assert "[claims-cats](#claims-cats)" in text
    assert all(f"](out/cats/{figure})" in text for figure, _ in record["figures"])
    shutil.rmtree(place / "out" / "cats")


def test_generators_of_one_name_are_arms_of_their_own(place: Path, tmp_path: Path) -> None:
    others = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        others.append(str(write_gan(tmp_path / str(seed) / "tiny.safetensors", seed=seed)))
    assert execute(command(place, "stylegan3", "--others", *others)) == 0
    record = json.loads((place / "out" / "stylegan3.json").read_text())
    arms = {piece["arm"] for piece in record["pieces"]}
    assert len(arms) == 3
    assert len(record["claims"]) == 2


def test_what_is_asked_of_claim_3_differs_in_the_teacher_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, FitConfig] = {}
    run_arms = Desk.run_arms

    def listening(desk: Desk, arms: list[Arm]) -> list[Piece]:
        seen.update({arm.name: arm.config for arm in arms})
        return run_arms(desk, arms)

    monkeypatch.setattr(Desk, "run_arms", listening)
    assert execute(command(place, "claims")) == 0
    taught = seen["projected samples"]
    assert seen["renderings"] == replace(taught, project=replace(taught.project, teacher="none")) != taught
    assert not taught.turn.use
    record = json.loads((place / "out" / "claims.json").read_text())
    arms = {piece["arm"] for piece in record["pieces"]}
    assert {"projected samples", "renderings"} <= arms
    third = next(claim for claim in record["claims"] if claim["source"] == "Pan, claim 3")
    by_arm = {a: {p["photo"]: p["mad_depth_deg"] for p in record["pieces"] if p["arm"] == a} for a in arms}
    steps = difference(by_arm["renderings"], by_arm["projected samples"])
    assert steps.mean != 0
    assert steps.told(" deg") in third["evidence"]


def test_a_chain_goes_on_without_a_photo_that_fails(place: Path, tmp_path: Path) -> None:
    with np.load(write_heads(tmp_path / "whole.npz", 4)) as whole:
        arrays = dict(whole)
    arrays["depth"] = arrays["depth"].copy()
    arrays["depth"][1] = encode_depth(np.full((16, 16), np.nan, dtype=np.float32))  # no object: nothing to cut out
    write_npz(tmp_path / "heads.npz", arrays)
    words = ["--n", "3", "--test-heads", str(tmp_path / "heads.npz"), "--out", str(tmp_path / "out")]
    for _ in range(2):  # made, and read
        assert execute(command(place, "forgetting", *words)) == 0
        record = json.loads((tmp_path / "out" / "forgetting.json").read_text())
        assert [text.split(":")[0] for text in record["failed"]] == ["head 1 is left out"]
        chain, joint = record["tables"]
        assert [row[0] for row in chain["rows"]] == ["after head 0", "after head 2"]
        assert len(joint["rows"]) == 2
    assert execute(command(place, "forgetting", *words, "--n", "2")) == 2


def test_one_seed_does_not_vary(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(command(place, "variability", "--seeds", "0")) == 2
    assert "give two or more to --seeds" in capsys.readouterr().err


def test_what_cannot_be_studied_is_said(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in (
        (["--scale", "0"], "--scale cannot be 0"),
        (["--scale", "nan"], "--scale cannot be nan"),
        (["--n", "99"], "--start and --n must stay within"),
        (["--maps", str(tmp_path)], "holds no maps"),
    ):
        assert execute(command(place, "published", *words)) == 2
        assert expected in capsys.readouterr().err
    assert execute(command(place, "phrenology")) == 2
    assert "There is no study 'phrenology'" in capsys.readouterr().err
    assert execute(["study", "page", "--results", str(tmp_path), "--out", str(tmp_path / "x.md")]) == 2
    assert not (tmp_path / "x.md").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_scaling_changes_iterations_alone(name: str) -> None:
    whole, half = PRESETS[name], scaled(PRESETS[name], 0.5)
    assert scaled(whole, 1.0) == whole
    for a, b in zip(whole.stages, half.stages, strict=True):
        for kind in ("albedo", "project", "factorise"):
            assert abs(getattr(b, kind) - getattr(a, kind) / 2) <= 0.5 or getattr(b, kind) == getattr(a, kind) == 1
        assert (a.samples, a.mirror, a.mirror_albedo, a.repeat) == (b.samples, b.mirror, b.mirror_albedo, b.repeat)
    assert half.prior == whole.prior
    assert abs(scaled(whole, 0.5, True).prior.iterations - whole.prior.iterations / 2) <= 0.5
    assert (whole.optim, whole.loss, whole.turn, whole.nets) == (half.optim, half.loss, half.turn, half.nets)
    assert {stage.samples for stage in with_samples(whole, 5).stages} == {5}


def test_no_iterations_stay_none_and_some_stay_some() -> None:
    found = scaled(FitConfig(stages=(Stage(0, 3, 1),)), 0.01).stages[0]
    assert (found.albedo, found.project, found.factorise) == (0, 1, 1)
    for share in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(InputError, match="share from 0 to 1"):
            scaled(PRESETS["quick"], share)


def test_statistics_of_known_depths() -> None:
    """A plane is not rough; z = c x^2 bends by 2 c along rows and not along columns, so by c on average."""
    side, bend = 32, 1e-4
    x = torch.arange(side, dtype=torch.float64).expand(1, side, side)
    mask = torch.ones(1, side, side, dtype=torch.float64)
    plane = depth_statistics(0.9 + 0.001 * x, mask)
    assert plane["roughness"] < 1e-12
    assert plane["range"] == pytest.approx(0.001 * 0.9 * 31, rel=0.05)
    assert plane["coverage"] == 1
    bowl = depth_statistics(0.9 + bend * x**2, mask)
    assert bowl["roughness"] == pytest.approx(bend / bowl["range"], rel=1e-6)
    scaled_bowl = depth_statistics(7 + 3 * bend * x**2, mask)
    assert scaled_bowl["roughness"] == pytest.approx(bowl["roughness"], rel=1e-6)
    half = depth_statistics(0.9 + 0.001 * x, mask * (x < 16))
    assert half["coverage"] == 0.5
    assert math.isnan(depth_statistics(x, mask * 0)["range"])


def test_what_lies_off_the_object_does_not_count() -> None:
    rng = torch.Generator().manual_seed(0)
    depth = torch.rand(1, 24, 24, generator=rng, dtype=torch.float64)
    mask = torch.zeros(1, 24, 24, dtype=torch.float64)
    mask[:, 6:18, 6:18] = 1
    other = torch.where(mask > 0, depth, torch.rand(1, 24, 24, generator=rng, dtype=torch.float64))
    assert depth_statistics(depth, mask) == depth_statistics(other, mask)


def test_paired_differences_and_their_verdicts() -> None:
    a = {"x": 1.0, "y": 2.0, "z": 3.0, "only here": 9.0}
    b = {"x": 2.0, "y": 3.0, "z": 4.3}
    found = difference(a, b)
    assert found.n == 3
    assert found.mean == pytest.approx(1.1)
    assert found.error == pytest.approx(
        0.3 / math.sqrt(3) / math.sqrt(3), rel=1e-6
    )  # sd of (1, 1, 1.3) is 0.3 / sqrt 3
    assert verdict_of(found, 1) == "holds"
    assert verdict_of(found, -1) == "does not hold"
    assert verdict_of(Difference(0.1, 0.2, 9), 1) == "undecided"
    assert verdict_of(Difference(2.7, 1.0, 5), 1) == "undecided"  # Student's t with 4 degrees of freedom: 2.776
    assert verdict_of(Difference(2.8, 1.0, 5), 1) == "holds"
    assert verdict_of(Difference(2.2, 1.0, 40), 1) == "holds"
    assert verdict_of(difference({"x": 1.0}, {"x": 5.0}), 1) == "undecided"  # one photo decides nothing
    assert verdict_of(difference({}, b), 1) == "not tested"
    assert worst({"a": 1.0, "b": 5.0, "c": 2.0, "d": 3.0}) == 5.0


def test_differences_that_are_small_enough_do_no_harm() -> None:
    """ "No worse" needs evidence of its own: not to have found a difference is none."""
    assert no_worse(Difference(0.2, 0.28, 5), 1.0) == "holds"
    assert no_worse(Difference(0.0, 0.0, 5), 1.0) == "holds"
    assert no_worse(Difference(0.2, 3.0, 5), 1.0) == "undecided"
    assert no_worse(Difference(0.2, math.nan, 1), 1.0) == "undecided"
    assert no_worse(Difference(3.0, 0.3, 5), 1.0) == "does not hold"
    assert no_worse(difference({}, {}), 1.0) == "not tested"
    assert "nan" not in difference({}, {}).told(" deg")


def test_differences_of_roughness_judge_nothing(place: Path) -> None:
    photos = [Subject(name, place / name) for name in "abc"]
    result = object.__new__(Reconstruction)  # nothing asks it
    pieces = [
        Piece(arm, photo, 0, {"x": value + i / 10}, 1.0, result)
        for arm, value in (("ours", 1.0), ("other", 2.0))
        for i, photo in enumerate(photos)
    ]
    error, smooth = (Lead("x", "x", "", 2, judges) for judges in (True, False))
    assert claim_lower("", "", pieces, "ours", "other", error).verdict == "holds"
    assert claim_lower("", "", pieces, "ours", "other", smooth).verdict == "not tested"
    assert "-1.00" in claim_lower("", "", pieces, "ours", "other", smooth).evidence


def test_photos_of_one_name_are_told_apart_for_differences(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / folder / "cat.png")
    listed = tmp_path / "photos.txt"
    listed.write_text("one/cat.png\ntwo/cat.png\n")
    assert len({subject.name for subject in find_subjects(listed, None, 0, 2, 16)}) == 2
    with pytest.raises(InputError, match="choose among heads"):
        find_subjects(listed, None, 0, 2, 16, yaw_over=20.0)


def test_maps_and_photos_are_named_without_their_place() -> None:
    found = told(["claims", "--photos=/a/cats", "--maps", "/b/maps", "--scale=0.5", "--out=/x", "--note", "n"])
    assert found == ["claims", "--photos=cats", "--maps", "maps", "--scale=0.5"]


def test_published_maps_are_read_as_depths(place: Path) -> None:
    path = next((place / "maps").iterdir())
    found = read_map(path, 16)
    assert (found.category, found.prior) == ("car", "smoothed-box")
    assert found.depth.shape == (1, 16, 16)
    assert bool((found.mask[:, :2] == 0).all())
    assert bool((found.mask[:, 2:] == 1).all())
    true = torch.linspace(0.9, 1.1, 32).reshape(16, 2).mean(1)
    assert torch.allclose(found.depth[0, 2:], true.expand(14, 16), atol=1e-6)
    with pytest.raises(InputError, match="multiple of 5"):
        read_map(path, 5)
