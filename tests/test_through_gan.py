"""Pictures through the GAN, at the end of a fit and later: the same ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bozzetto import Reconstruction, reconstruct
from bozzetto.cli.main import execute
from bozzetto.errors import InputError, OutputError
from bozzetto.gan.zoo import load_gan
from bozzetto.results import read_networks
from bozzetto.results.folder import RECORD, THROUGH_GAN
from bozzetto.through_gan import _KNOWN, _yaw_of, pictures_of
from tiny_run import CONFIG, INVERSION, photo, write_gan


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gan(tmp_path_factory.mktemp("gan") / "tiny.safetensors")


@pytest.fixture(scope="module")
def whole(gan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "result"
    reconstruct(photo(), gan, mask="border", config=CONFIG, inversion=INVERSION, out=out, formats=("gan",))
    return out


@pytest.fixture
def bare(whole: Path, tmp_path: Path) -> Path:
    """The result as if no pictures had been made."""
    folder = Path(shutil.copytree(whole, tmp_path / "bare"))
    for name in (THROUGH_GAN, "gan_turn.mp4", "gan_relight.mp4"):
        (folder / name).unlink()
    record = json.loads((folder / RECORD).read_text())
    del record["files"]["through_gan"]
    (folder / RECORD).write_text(json.dumps(record))
    return folder


def test_a_fit_ends_with_them(whole: Path) -> None:
    kept = Reconstruction.load(whole).through_gan
    assert kept is not None
    assert {"gan_turn.mp4", "gan_relight.mp4", THROUGH_GAN} <= {path.name for path in whole.iterdir()}
    assert kept.turn.float().std(dim=0).max() > 0


def test_made_later_they_are_the_same_bits(gan: Path, whole: Path, bare: Path, capsys: pytest.CaptureFixture) -> None:
    assert Reconstruction.load(bare).through_gan is None
    _KNOWN.clear()  # as a process of its own would begin
    assert execute(["through-gan", str(bare), "--gan", str(gan), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{bare}\n"
    assert told.err.split() == [
        str(bare / name) for name in ("sheet.png", "viewer.html", "gan_turn.mp4", "gan_relight.mp4")
    ]
    for name in (THROUGH_GAN, "gan_turn.mp4", "gan_relight.mp4"):
        assert (bare / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_generators_turn_is_looked_for_once_and_is_what_it_would_be(
    gan: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another photo of the same kind takes what was found; another kind and unnamed networks look for their own."""
    result, teacher = Reconstruction.load(whole), load_gan(gan)
    _KNOWN.clear()
    first = _yaw_of(result, teacher, "object", 8)
    assert _yaw_of(result, load_gan(gan), "object", 8) is first
    _KNOWN.clear()
    again = _yaw_of(result, teacher, "object", 8)
    assert again is not first
    assert torch.equal(again.direction, first.direction)
    assert again.rad == first.rad
    assert _yaw_of(result, teacher, "heads", 8) is not again
    monkeypatch.setattr(teacher, "info", replace(teacher.info, sha256=""))
    before = len(_KNOWN)
    _yaw_of(result, teacher, "object", 8)
    assert len(_KNOWN) == before


def test_no_picture_is_made_where_none_is_asked_for(gan: Path, tmp_path: Path) -> None:
    changed = {"mask": "border", "config": CONFIG, "inversion": INVERSION, "formats": ("png",)}
    result = reconstruct(photo(), gan, out=tmp_path / "r", **changed)
    assert result.through_gan is None
    assert not (tmp_path / "r" / THROUGH_GAN).exists()


def test_a_fit_without_step_2_sets_out_from_the_photos_latent(gan: Path, tmp_path: Path) -> None:
    """There is no E to ask; with no steps of their own all relit pictures are the inversion's."""
    config = replace(CONFIG, stages=(replace(CONFIG.stages[0], project=0, samples=0),))
    out = tmp_path / "r"
    result = reconstruct(photo(), gan, mask="border", config=config, inversion=INVERSION, out=out, formats=("gan",))
    assert result.through_gan is not None
    networks = read_networks(out)
    assert networks is not None
    still = pictures_of(result, networks, load_gan(gan), steps=0)
    assert bool((still.relight == still.relight[:1]).all())
    w = result.latent.expand(load_gan(gan).info.num_ws, -1)
    own = (load_gan(gan).image_from_w(w[None])[0] / 2 + 0.5).clamp(0, 1) * 255
    assert float((still.relight[0] - own).abs().max()) <= 0.51
    assert not torch.equal(still.relight, result.through_gan.relight)


def test_a_preview_has_none_and_says_why(gan: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    result = reconstruct(photo(), gan, mask="border", config=CONFIG, inversion=INVERSION, out=out, formats=())
    fit = {**result.provenance.config["fit"], "stages": []}
    config = {**result.provenance.config, "fit": fit}
    networks = read_networks(out)
    assert networks is not None
    preview = replace(result, provenance=replace(result.provenance, config=config))
    with pytest.raises(OutputError, match="is a preview"):
        pictures_of(preview, networks, load_gan(gan))


def _no_networks(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    del record["files"]["networks"]
    (folder / RECORD).write_text(json.dumps(record))


COMPLAINTS: dict[str, tuple[Callable[[Path], None], list[str], int, str]] = {
    "no networks": (_no_networks, [], 5, "keeps no networks (networks.safetensors)"),
    "steps": (lambda folder: None, ["--steps", "-1"], 2, "--steps cannot be -1"),
    "no result": (lambda folder: (folder / RECORD).unlink(), [], 5, "reconstruction.json is missing"),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_complaints_are_one_sentence_and_change_nothing(
    case: str, gan: Path, bare: Path, capsys: pytest.CaptureFixture
) -> None:
    spoil, flags, code, words = COMPLAINTS[case]
    spoil(bare)
    before = {path.name: path.read_bytes() for path in bare.iterdir()}
    assert execute(["through-gan", str(bare), "--gan", str(gan), *flags]) == code
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert {path.name: path.read_bytes() for path in bare.iterdir()} == before


def test_another_generator_is_refused_by_its_hash(bare: Path, tmp_path: Path) -> None:
    result, networks = Reconstruction.load(bare), read_networks(bare)
    assert networks is not None
    other = load_gan(write_gan(tmp_path / "other.safetensors", seed=8))
    with pytest.raises(InputError, match=r"fitted with the generator 'tiny' \(SHA-256 [0-9a-f]{12}.*--gan"):
        pictures_of(result, networks, other)


def test_settings_that_are_not_whole_are_named(gan: Path, bare: Path) -> None:
    result, networks = Reconstruction.load(bare), read_networks(bare)
    assert networks is not None
    for config, words in (({}, "does not say how"), ({"fit": {"stages": [{"project": 1}]}}, "not complete")):
        odd = replace(result, provenance=replace(result.provenance, config=config))
        with pytest.raises(OutputError, match=words):
            pictures_of(odd, networks, load_gan(gan))
    kept = json.loads(json.dumps(result.provenance.config))
    for name, value in (("tail_layers", "x"), ("relative", 1), ("more", 1)):
        fit = {**kept["fit"], "project": {**kept["fit"]["project"], name: value}}
        odd = replace(result, provenance=replace(result.provenance, config={**kept, "fit": fit}))
        with pytest.raises(OutputError, match="not complete"):
            pictures_of(odd, networks, load_gan(gan))
    for category, chunk, precision in (([], True, []), ({}, "1", 16), ("no such kind", -1, "fp8")):
        compute = {**kept["fit"]["compute"], "chunk": chunk, "gan_precision": precision}
        config = {**kept, "fit": {**kept["fit"], "prior": [], "compute": compute}, "category": category}
        odd = replace(result, provenance=replace(result.provenance, config=config))
        assert pictures_of(odd, networks, load_gan(gan), 0).turn.dtype == torch.uint8
    lacking = {name: value for name, value in networks.items() if name != "offset.network.0.weight"}
    with pytest.raises(OutputError, match="do not fit"):
        pictures_of(result, lacking, load_gan(gan))


def test_export_of_a_result_without_them_says_what_to_do(bare: Path, capsys: pytest.CaptureFixture) -> None:
    assert execute(["export", str(bare), "--formats", "gan"]) == 2
    assert f"bozzetto through-gan {bare}" in capsys.readouterr().err
