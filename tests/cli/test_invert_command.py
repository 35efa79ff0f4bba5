"""The invert command: many photos at once, what it refuses before the work, what it says and writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from bozzetto import Reconstruction, batch
from bozzetto.cli.main import execute
from bozzetto.errors import FitError
from bozzetto.export.images import picture
from bozzetto.gan import Gan, load_gan
from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.invert import Inversion, InvertConfig
from bozzetto.gan.invert import invert as invert_all
from tiny_run import photo, write_gan

QUICK = ("--mask", "border", "--steps", "3", "--start-samples", "64")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a generator and three photos, and we are in it."""
    monkeypatch.chdir(tmp_path)
    write_gan(tmp_path / "tiny.safetensors")
    (tmp_path / "photos").mkdir()
    for name, seed in (("a", 5), ("b", 6), ("c", 7)):
        picture(photo(seed)).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def run(*words: str) -> int:
    return execute(["invert", *words, "--gan", "tiny.safetensors", *QUICK])


def latent(path: Path) -> torch.Tensor:
    return load_file(path)["latent"]


def test_a_folder_is_one_batch_with_a_file_a_photo_and_one_sheet(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counted(images: torch.Tensor, *args: object, **kwargs: object) -> Inversion:
        sizes.append(len(images))
        return invert_all(images, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "invert", counted)
    assert run("photos", "--out", "found") == 0
    told = capsys.readouterr()
    files = [Path("found") / f"{name}_latent.safetensors" for name in "abc"]
    assert told.out.splitlines() == [str(path) for path in files]
    for name in "abc":
        line = rf"^{name}\.png: PSNR \d+\.\d dB, discriminator distance \d+\.\d+, \d+\.\d s$"
        assert re.search(line, told.err, re.MULTILINE), told.err
    assert sizes == [3]
    with Image.open("found/latents_sheet.png") as sheet:
        assert sheet.size == (3 * 16, 3 * 16)  # photo, start, result
        assert sheet.crop((0, 16, 16, 32)).tobytes() == picture(photo(6)).tobytes()
    assert sorted(path.name for path in Path("found").iterdir()) == sorted(
        [*(path.name for path in files), "latents_sheet.png"]
    )
    # Photos do not influence each other: one by itself has the same latent.
    assert run("photos/b.png", "--out", "alone.safetensors") == 0
    torch.testing.assert_close(latent(Path("alone.safetensors")), latent(files[1]), atol=2e-2, rtol=2e-2)
    with Image.open("alone.png") as sheet:
        assert sheet.size == (48, 16)


def test_photos_that_fail_are_named_at_the_end_and_the_others_are_done(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "photos" / "b.png").write_text("no picture")
    assert run("photos", "--out", "found") == 2
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"found/{name}_latent.safetensors" for name in "ac"]
    assert told.err.splitlines()[-1] == "bozzetto: 1 of 3 photos failed: photos/b.png."
    with Image.open("found/latents_sheet.png") as sheet:
        assert sheet.size == (48, 32)


def test_a_photo_whose_numbers_run_away_fails_alone(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = photo(6)

    def breaking(images: torch.Tensor, *args: object, **kwargs: object) -> Inversion:
        if any(torch.allclose(image, bad, atol=0.01) for image in images):
            raise FitError("The inversion's numbers ran away.")
        return invert_all(images, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "invert", breaking)
    assert run("photos", "--out", "found") == 6
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"found/{name}_latent.safetensors" for name in "ac"]
    assert "photos/b.png: The inversion's numbers ran away." in told.err


def test_large_batches_are_cut_into_pieces(place: Path) -> None:
    gan = load_gan("tiny.safetensors")

    class Heard:
        def on_note(self, text: str) -> None: ...

        def on_iteration(self, event: object) -> None: ...

        def on_inversion(self, done: int, total: int, terms: Mapping[str, float]) -> None: ...

    inverter = batch.Inverter(gan, InvertConfig(steps=3, start_samples=64), 0, Heard())
    assert inverter.at_once == batch.BATCH_PIXELS // 16**2
    inverter.at_once = 2
    from bozzetto.pipeline import plan

    photos = sorted(Path("photos").iterdir())
    pieces = list(inverter.each(photos, lambda path: plan(path, gan, mask="border")))
    inverter.at_once = 3
    whole = list(inverter.each(photos, lambda path: plan(path, gan, mask="border")))
    assert [one.photo for one in pieces] == photos
    for one, other in zip(pieces, whole, strict=True):
        assert one.found is not None
        assert other.found is not None
        torch.testing.assert_close(one.found.w, other.found.w, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    ("out", "words"),
    [("file/below.safetensors", "a file and not a folder"), ("folder.safetensors", "a folder of that name")],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    out: str, words: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("")
    (place / "folder.safetensors").mkdir()
    monkeypatch.setattr(batch, "invert", lambda *args, **kwargs: pytest.fail("the work has begun"))
    assert run("photos/a.png", "--out", out) == 5
    assert words in capsys.readouterr().err
    assert not list(place.glob("*.png"))


def test_the_sheet_never_replaces_a_photo(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (place / "photos" / "a.png").read_bytes()
    assert run("photos/a.png", "--out", "photos/a.safetensors") == 2
    assert "would replace a photo" in capsys.readouterr().err
    assert (place / "photos" / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--steps", "0"), "steps cannot be 0; give a number from 1"),
        (("--learning-rate", "0"), "learning_rate cannot be 0"),
        (("--learning-rate", "nan"), "learning_rate cannot be nan"),
        (("--beta1", "1"), "beta1 cannot be 1"),
        (("--start-samples", "1"), "start_samples cannot be 1; give a number from 2"),
        (("--prior-weight", "-1"), "prior_weight cannot be -1"),
        (("--crop", "1,2"), "give auto, none, or x,y,size"),
        (("--crop", "90,0,8"), "lies outside"),
        (("--perceptual", "stlpips"), "needs pictures of at least 32 px"),
    ],
)
def test_bad_numbers_are_one_sentence(
    flags: tuple[str, ...], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "stlpips" in flags and find_spec("stlpips_pytorch") is None:  # looks, does not import
        pytest.skip("the network comes with an extra")
    assert execute(["invert", "photos/a.png", "--gan", "tiny.safetensors", "--mask", "none", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"bozzetto: [^\n]+\.\n", err), err
    assert words in err
    assert not (place / "results").exists()


def test_one_mask_file_cannot_serve_many_photos(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (16, 16), 255).save("mask.png")
    assert execute(["invert", "photos", "--gan", "tiny.safetensors", "--mask", "mask.png"]) == 2
    assert "belongs to one photo" in capsys.readouterr().err


def test_the_crop_that_is_asked_for_is_inverted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = Image.new("RGB", (60, 40))
    wide.paste(picture(photo(5)), (30, 10))
    wide.save("wide.png")
    assert run("wide.png", "--crop", "30,10,16", "--out", "w.safetensors") == 0
    assert "crop 30,10,16 (given)" in capsys.readouterr().err
    assert run("photos/a.png", "--out", "a.safetensors") == 0
    assert torch.equal(latent(Path("w.safetensors")), latent(Path("a.safetensors")))


def test_noise_maps_are_kept_with_their_latent(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos/a.png", "--space", "w+noise", "--out", "n.safetensors") == 0
    gan: Gan = load_gan("tiny.safetensors")
    stored = load_file("n.safetensors")
    noises = [stored[f"noise{i}"] for i in range(len(gan.noise_shapes()))]
    with torch.no_grad():
        image = (gan.image_from_w(stored["latent"][None], noises) / 2 + 0.5).clamp(0, 1)[0]
    with Image.open("n.png") as sheet:
        assert sheet.crop((32, 0, 48, 16)).tobytes() == picture(image).tobytes()


def test_a_dry_run_lists_all_photos_and_names_the_bad_ones(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "photos" / "a.png").write_text("no picture")
    wide = Image.new("RGB", (60, 40))
    wide.save(place / "photos" / "d.png")
    argv = ["reconstruct", "photos", "--gan", "tiny.safetensors", "--dry-run", "--crop", "none"]
    assert execute(argv) == 2
    told = capsys.readouterr()
    assert re.findall(r"^photo +(\S+)", told.out, re.MULTILINE) == ["photos/b.png", "photos/c.png", "photos/d.png"]
    assert re.findall(r"^crop +(.*)$", told.out, re.MULTILINE)[-1] == "10,0,40 (middle)"
    assert told.err.splitlines()[-1] == "bozzetto: 1 of 4 photos failed: photos/a.png."
    assert not (place / "results").exists()


def test_a_reconstruction_keeps_its_crop(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = Image.new("RGB", (60, 40))
    wide.paste(picture(photo(5)), (30, 10))
    wide.save("wide.png")
    few = ("--albedo", "1", "--project", "1", "--factorise", "1", "--samples", "2", "--stages", "1")
    more = ("--collect-batches", "1", "--prior.iterations", "2", "--turn.use", "False", "--formats", "png")
    inversion = (
        "--inversion.steps",
        "2",
        "--inversion.start-samples",
        "64",
        "--mask",
        "border",
        "--inversion.hopeless-db",
        "0",
    )
    argv = ["reconstruct", "wide.png", "--gan", "tiny.safetensors", "--crop", "30,10,16", *few, *more, *inversion]
    assert execute([*argv, "--out", "one"]) == 0
    config = Reconstruction.load(Path("one")).provenance.config
    assert config["crop"] == {"left": 30, "top": 10, "side": 16, "rows": None}
    assert config["found"]["crop"] == "given"
    assert config["found"]["photo_size"] == [60, 40]
    argv[argv.index("30,10,16")] = "28,10,16"
    assert execute([*argv, "--out", "one"]) == 5  # another crop is another result
    assert "crop" in capsys.readouterr().err


def test_a_generator_without_a_discriminator_is_inverted_by_the_picture_alone(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gan = load_gan(place / "tiny.safetensors")
    save_safetensors(place / "alone.safetensors", gan.generator, None, {"name": "alone"}, torch.float32)
    words = ["invert", "photos/a.png", "--gan", "alone.safetensors", *QUICK, "--out", "x.safetensors"]
    assert execute(words) == 0
    assert re.search(r"^a\.png: PSNR \d+\.\d dB, \d+\.\d s$", capsys.readouterr().err, re.MULTILINE)  # no distance
    assert latent(Path("x.safetensors")).shape[-1] == gan.info.w_dim
    assert latent(Path("x.safetensors")).isfinite().all()


def test_a_latent_that_a_fit_would_doubt_is_kept_and_doubted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, word in (
        (("--poor-db", "90", "--hopeless-db", "1"), "warns of it"),
        (("--hopeless-db", "90"), "refuses it"),
        (("--poor-db", "1", "--hopeless-db", "1"), None),
    ):
        assert run("photos", "--out", "found", *flags) == 0
        said = capsys.readouterr().err
        assert said.count("poorly met") == (3 if word else 0)
        if word is not None:
            assert word in said
            assert "b.png is poorly met" in said
        assert latent(Path("found/b_latent.safetensors")).isfinite().all()
