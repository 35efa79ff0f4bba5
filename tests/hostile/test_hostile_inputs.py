"""Every file of the corpus through the commands that take such files: refused in one line, or worked with."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus import Case, titles
from hostile_files import GANS, LATENTS, SCENES, SOURCES, TRUTHS, result_cases
from hostile_photos import BAD, LONG, ODD, PHOTOS
from hostile_run import FEW, is_clear, nothing_half_done, run, snapshot


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=titles(cases))


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(PHOTOS) >= 60
    assert len(PHOTOS) + sum(map(len, (LATENTS, GANS, TRUTHS, SCENES, SOURCES, result_cases(Path())))) >= 180


@each([*BAD, *ODD])
def test_photos(case: Case, gan: Path, tmp_path: Path) -> None:
    """A dry run reads and checks all there is to read."""
    path = case.put(tmp_path)
    before = snapshot(tmp_path)
    told = run(["reconstruct", f"{path}", "--gan", gan, *FEW, "--mask", "none", "--dry-run"])
    if case.good:
        assert (told.code, told.complaints) == (0, []), told
        assert "Traceback" not in told.err
        assert "worked on at 16 x 16" in told.out
    else:
        is_clear(told, 2)
        assert told.out == ""
    assert snapshot(tmp_path) == before


@each(BAD)
def test_photos_to_invert(case: Case, gan: Path, tmp_path: Path) -> None:
    path, out = case.put(tmp_path), tmp_path / "latent.safetensors"
    before = snapshot(tmp_path)
    is_clear(run(["invert", f"{path}", "--gan", gan, "--steps", "1", "--mask", "none", "--out", out]), 2)
    assert snapshot(tmp_path) == before


@each([case for case in BAD if "folder" not in case.title])
def test_masks(case: Case, gan: Path, result: Path, tmp_path: Path) -> None:
    mask, out = case.put(tmp_path), tmp_path / "out"
    photo = result.parent / "photo.png"
    told = run(["reconstruct", photo, "--gan", gan, *FEW, "--mask", mask, "--out", out])
    is_clear(told, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    nothing_half_done(tmp_path)


@each(LATENTS)
def test_latents(case: Case, gan: Path, result: Path, tmp_path: Path) -> None:
    latent, out = case.put(tmp_path), tmp_path / "out"
    photo = result.parent / "photo.png"
    before = snapshot(tmp_path)
    told = run(["reconstruct", photo, "--gan", gan, *FEW, "--mask", "none", "--latent", latent, "--out", out])
    is_clear(told, 2)
    assert snapshot(tmp_path) == before
    nothing_half_done(tmp_path)


@each(GANS)
@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_generators(command: str, case: Case, tmp_path: Path) -> None:
    path, out = case.put(tmp_path), tmp_path / "out.safetensors"
    before = snapshot(tmp_path)
    told = run(["gan", "inspect", path, "--n", "0"] if command == "inspect" else ["gan", "convert", path, "-o", out])
    is_clear(told, 2, 3)
    assert snapshot(tmp_path) == before
    nothing_half_done(tmp_path)


RESULTS = result_cases(Path())


@pytest.mark.parametrize("number", range(len(RESULTS)), ids=titles(RESULTS))
@pytest.mark.parametrize("command", ["export", "eval", "gallery", "through-gan"])
def test_results(command: str, number: int, gan: Path, result: Path, tmp_path: Path) -> None:
    path, out = result_cases(result)[number].put(tmp_path), tmp_path / "out"
    before, other = snapshot(tmp_path), snapshot(result)
    words: dict[str, list[str | Path]] = {
        "export": ["--formats", "png", "--out", out],
        "eval": ["--truth", result / "depth16_posed.png"],
        "gallery": ["--out", out],
        "through-gan": ["--gan", gan],
    }
    is_clear(run([command, path, *words[command]]), 2, 5)
    assert snapshot(tmp_path) == before
    assert snapshot(result) == other


@each(TRUTHS)
def test_truths(case: Case, result: Path, tmp_path: Path) -> None:
    path = case.put(tmp_path)
    before = snapshot(tmp_path)
    is_clear(run(["eval", result, "--truth", path, "--json", tmp_path / "scores.json"]), 2, 4)
    assert snapshot(tmp_path) == before


@each(SCENES)
def test_scenes(case: Case, gan: Path, result: Path, tmp_path: Path) -> None:
    path = case.put(tmp_path)
    before = snapshot(tmp_path)
    told = run(["reconstruct", result.parent / "photo.png", "--gan", gan, *FEW, "--scenes", path, "--dry-run"])
    is_clear(told, 2)
    assert snapshot(tmp_path) == before


@each(SOURCES)
def test_training_pictures(case: Case, tmp_path: Path) -> None:
    path = case.put(tmp_path)
    before = snapshot(tmp_path)
    told = run(["gan", "train", path, "-o", tmp_path / "mine.safetensors", "--size", "16", "--device", "cpu"])
    is_clear(told, 2)
    assert snapshot(tmp_path) == before


def test_a_folder_of_every_photo(gan: Path, tmp_path: Path) -> None:
    """One dry run of them all: the good ones are told, each bad one is one line, and no other is kept waiting."""
    for case in PHOTOS:
        case.put(tmp_path)
    told = run(["reconstruct", tmp_path / "in", "--gan", gan, *FEW, "--mask", "none", "--dry-run"])
    assert told.code == 2
    listed = [c for c in PHOTOS if "." in c.name[1:] and not c.name.startswith(".")]
    good = [case for case in listed if case.good]
    gone = {"nothing", "a folder", "a link to itself", "a link to nowhere", "a pipe", "an endless device"}
    bad = [case for case in listed if not case.good and case.title not in gone and case is not LONG]
    assert told.out.count("photo      ") >= len(good)
    assert len(told.complaints) == len(bad) + 1, told.err
    assert "Traceback" not in told.err
