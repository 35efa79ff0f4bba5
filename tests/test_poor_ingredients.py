"""An empty or full mask, and an inversion too poor to go on with: said in a sentence, and no other photo suffers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from bozzetto.config import TurnConfig
from bozzetto.errors import FitError, InputError
from bozzetto.export.images import picture, write_png
from bozzetto.gan import Gan
from bozzetto.gan.invert import InvertConfig, invert, judge_inversion
from bozzetto.gan.zoo import load_gan
from bozzetto.gather import Gatherer
from bozzetto.keep import Quiet
from bozzetto.pipeline import plan, reconstruct
from tiny_run import CONFIG, INVERSION, SIZE, photo, same_files, write_gan


class Notes(Quiet):
    """Keeps what the user should read."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gan(tmp_path_factory.mktemp("gan") / "gan.safetensors")


def believable(gan: Path) -> Tensor:
    """A picture that the generator makes itself, [3, S, S]."""
    loaded = load_gan(gan)
    with torch.no_grad():
        w = loaded.w_samples(1, seed=1)[:, None].expand(-1, loaded.info.num_ws, -1)
        return (loaded.image_from_w(w) / 2 + 0.5).clamp(0, 1)[0]


def noise() -> Tensor:
    return torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("value", [0.0, 0.69])
def test_an_empty_mask_is_refused_and_nothing_is_left(value: float, gan: Path, tmp_path: Path) -> None:
    mask, out = torch.full((SIZE, SIZE), value), tmp_path / "out"
    with pytest.raises(InputError, match=r"all but empty: 0\.0 % .* so there is nothing to fit; .*--mask none\.$"):
        reconstruct(photo(), str(gan), mask=mask, config=CONFIG, inversion=INVERSION, out=out)
    assert list(tmp_path.iterdir()) == []


def test_a_full_mask_is_worked_with_and_said(gan: Path) -> None:
    heard = Notes()
    given = {"config": CONFIG, "inversion": INVERSION}
    full = reconstruct(photo(), str(gan), mask=torch.ones(SIZE, SIZE), progress=heard, **given)  # type: ignore[arg-type]
    assert heard.notes == ["The mask covers everything: 100.0 % of the photo counts as object."]
    whole = reconstruct(photo(), str(gan), mask="none", **given)  # type: ignore[arg-type]
    assert torch.equal(full.depth, whole.depth)


def test_the_verdict_on_an_inversion() -> None:
    config = InvertConfig(poor_db=17.0, hopeless_db=12.0)
    assert judge_inversion(17.0, config, "g") is None
    assert "poor: PSNR 16.9 dB; the shape is learned" in (judge_inversion(16.94, config, "g") or "")
    assert judge_inversion(12.0, config, "g") is not None
    for value in (11.99, -3.0, float("nan")):
        with pytest.raises(FitError, match=r"generator 'g' .* below 12; try a generator of what the photo shows"):
            judge_inversion(value, config, "g")
        assert judge_inversion(value, replace(config, hopeless_db=0.0), "g") is not None


def between(gan: Path) -> float:
    """A verdict that parts the generator's own picture from noise."""
    found = invert(torch.stack((believable(gan), noise())), load_gan(gan), INVERSION)
    good, bad = found.psnr_db.tolist()
    assert good > bad + 6
    return float(good + bad) / 2


def test_a_hopeless_inversion_fails_and_goes_on_where_that_is_asked_for(gan: Path, tmp_path: Path) -> None:
    given = {"gan": str(gan), "mask": "none", "config": CONFIG, "formats": ()}
    strict = replace(INVERSION, hopeless_db=between(gan))
    reconstruct(believable(gan), out=tmp_path / "good", inversion=strict, **given)  # type: ignore[arg-type]
    with pytest.raises(FitError, match=r"is poor: PSNR .*--inversion\.hopeless-db 0\.$"):
        reconstruct(noise(), out=tmp_path / "bad", inversion=strict, **given)  # type: ignore[arg-type]
    assert not (tmp_path / "bad").exists()
    heard = Notes()
    loose = replace(strict, hopeless_db=0.0, poor_db=99.0)
    reconstruct(noise(), out=tmp_path / "bad", inversion=loose, resume=True, progress=heard, **given)  # type: ignore[arg-type]
    assert len(heard.notes) == 1
    assert re.search(r"is poor: PSNR .*look at inversion\.png before you trust it\.$", heard.notes[0])
    reconstruct(noise(), out=tmp_path / "never", inversion=INVERSION, **given)  # type: ignore[arg-type]
    assert same_files(tmp_path / "bad", tmp_path / "never", "scene.safetensors", "networks.safetensors")


def test_a_latent_of_another_photo_is_said(gan: Path) -> None:
    heard = Notes()
    loaded = load_gan(gan)
    latent = loaded.w_samples(1, seed=1)[0]
    given = {"gan": str(gan), "mask": "none", "config": CONFIG, "latent": latent, "progress": heard}
    reconstruct(believable(gan), **given)  # type: ignore[arg-type]
    assert heard.notes == []
    reconstruct(noise(), **given)  # type: ignore[arg-type]
    assert len(heard.notes) == 1
    assert "the given latent's picture is far from the photo" in heard.notes[0].lower()


def test_in_a_batch_each_fails_alone(gan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bozzetto.cli.main import execute

    photos = tmp_path / "photos"
    photos.mkdir()
    shown = {"a_noise": noise(), "b_good": believable(gan), "c_plain": torch.full((3, SIZE, SIZE), 0.5)}
    for name, image in shown.items():
        write_png(picture(image), photos / f"{name}.png")
    few = [
        *("--albedo", "1", "--project", "1", "--factorise", "1", "--samples", "1", "--stages", "1"),
        *("--collect-batches", "1", "--prior.iterations", "1", "--turn.use", "False", "--nets.width", "0.25"),
        *("--inversion.steps", "3", "--inversion.start-samples", "64", "--formats", "png"),
    ]
    strict = ["--inversion.hopeless-db", f"{between(gan):.2f}"]
    argv = ["reconstruct", str(photos), "--gan", str(gan), *few, *strict, "--out", str(tmp_path / "out")]
    assert execute([*argv, "--mask", "none"]) == 6
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bozzetto: ")]
    assert "a_noise.png: The nearest picture" in told[0]
    assert "a_noise.png" in told[-1]
    assert "b_good.png" not in told[-1]
    assert (tmp_path / "out" / "b_good" / "reconstruction.json").is_file()
    for name, image in shown.items():
        cut_out = picture(image)
        cut_out.putalpha(Image.new("L", (SIZE, SIZE), 0 if name == "c_plain" else 255))
        cut_out.putpixel((3, 3), (9, 9, 9, 128))
        cut_out.save(photos / f"{name}.png")
    assert execute([*argv[:-1], str(tmp_path / "cut"), "--mask", "alpha", "--inversion.hopeless-db", "0"]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bozzetto: ")]
    assert any("c_plain.png: The mask is all but empty" in line for line in told)
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["a_noise", "b_good"]


def test_a_joint_training_leaves_hopeless_photos_out(gan: Path) -> None:
    loaded = load_gan(gan)
    config = replace(CONFIG, stages=(), turn=TurnConfig())
    strict = replace(INVERSION, hopeless_db=between(gan))
    made = [plan(image, loaded, mask="none", config=config, inversion=strict) for image in (believable(gan), noise())]
    plans = [replace(one, picture=replace(one.picture, name=f"photo {i}")) for i, one in enumerate(made)]
    found = Gatherer(plans[0], None, lambda what, done, total: None).gather(plans)
    assert found.names == ["photo 0"]
    assert len(found.problem.photo) == 1
    assert [name for name, _ in found.failed] == ["photo 1"]
    assert torch.equal(found.problem.photo[0], plans[0].picture.image)
    with pytest.raises(InputError, match=r"None of the 1 photos can be worked on .*is poor"):
        Gatherer(plans[1], None, lambda what, done, total: None).gather(plans[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heads", "cats", "faces", "cars"])
def test_the_built_in_generators_know_their_own_kind(name: str) -> None:
    """Pictures of another seed are far above both limits with the settings as they are; noise is given up."""
    teacher: Gan = load_gan(name)
    with torch.no_grad():
        own = teacher.image_from_w(teacher.w_samples(8, seed=11)[:, None].expand(-1, teacher.info.num_ws, -1)) / 2 + 0.5
    checks = ((torch.arange(64)[:, None] // 4 + torch.arange(64)[None] // 4) % 2).float().expand(1, 3, -1, -1)
    grain = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = invert(torch.cat((own.clamp(0, 1), checks, grain)), teacher).psnr_db
    assert float(found[:8].min()) > InvertConfig.poor_db + 3
    assert float(found[8:].max()) < InvertConfig.hopeless_db
