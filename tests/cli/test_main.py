"""What people see of errors: one sentence on stderr, an exit code, no traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from bozzetto.cli.main import COMMANDS, execute
from bozzetto.gan import load_gan
from bozzetto.gan.latent import save_latent


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a complaint."""
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"bozzetto: [^\n]+[.)]\n", err), err
    return err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["reconstruct"], 2, "No photo is given"),
        (["reconstruct", "EMPTY"], 2, "no photos in the folder"),
        (["reconstruct", "nowhere.png"], 2, "no image file nowhere.png"),
        (["reconstruct", "text.png"], 2, "not an image"),
        (["reconstruct", "PHOTO", "--preset", "slow"], 2, "no preset 'slow'"),
        (["reconstruct", "PHOTO", "--gan", "nowhere"], 3, "no generator 'nowhere'"),
        (["reconstruct", "PHOTO", "--gan", "text.png"], 3, "no generator this program knows"),
        (["reconstruct", "PHOTO", "--prior", "pyramid"], 2, "no prior 'pyramid'"),
        (["reconstruct", "PHOTO", "--mask", "nowhere.png", "--out", "r"], 2, "nowhere.png"),
        (["reconstruct", "PHOTO", "--latent", "nowhere.npy"], 2, "nowhere.npy"),
        (["reconstruct", "PHOTO", "--scenes", "text.png"], 2, "no views and lights"),
        (["reconstruct", "PHOTO", "--truth", "text.png"], 2, "text.png"),
        (["reconstruct", "PHOTO", "--device", "toaster"], 2, "no device 'toaster'"),
        (["reconstruct", "PHOTO", "--category", "sofa"], 2, "no category 'sofa'"),
        (["reconstruct", "PHOTO", "--albedo", "1", "2", "--project", "1", "2", "3"], 2, "do not add up"),
        (["reconstruct", "PHOTO", "--project", "5", "--samples", "0"], 2, "Step 2 needs samples"),
        (["reconstruct", "PHOTO", "--albedo", "-3"], 2, "albedo cannot be -3"),
        (["reconstruct", "PHOTO", "--lr", "nan"], 2, "lr cannot be nan"),
        (["reconstruct", "PHOTO", "--tail-layers", "99"], 2, "mapping layers"),
        (["reconstruct", "PHOTO", "PHOTO2", "--latent", "x.npy"], 2, "belongs to one photo"),
        (["reconstruct", "PHOTO", "--formats", "step", "--out", "r"], 2, "no export format 'step'"),
        (["export", "EMPTY"], 5, "not a whole result folder"),
        (["export", "EMPTY", "--formats", "step"], 2, "no export format 'step'"),
        (["invert", "nowhere.png"], 2, "no image file"),
        (["gan", "inspect", "nowhere"], 3, "no generator"),
        (["gan", "sample", "--n", "0"], 2, "--n must be"),
        (["gan", "sample", "--psi", "nan"], 2, "--psi must be -2 to 2, not nan"),
        (["gan", "sample", "--psi", "50"], 2, "--psi must be -2 to 2"),
        (["gan", "sample", "--seed", "99999999999999999999"], 2, "The seed cannot be"),
        (["gan", "sample", "--out", "a.jpg"], 2, "end it in .png"),
        (["gan", "inspect", "--grid", "a.jpg"], 2, "end it in .png"),
        (["gan", "convert", "heads", "-o", "x.pt"], 2, "end it in .safetensors"),
        (["estimate-views"], 2, "At least two results"),
        (["estimate-views", "EMPTY"], 2, "no result folder"),
        (["bench", "steps", "--iterations", "1"], 2, "2 iterations"),
        (["bench", "steps", "--size", "48"], 2, "power of two"),
        (["bench", "heads", "--start", "95"], 2, "100 test heads"),
        (["bench", "make-heads", "--model", "nowhere.npz", "--out", "heads"], 2, "nowhere.npz"),
        (["bench"], 2, "one more word: make-heads, make-animals, steps, gan, ensemble, memory, heads, masks, beside"),
        (["paint"], 2, "no command 'paint'"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    argv: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo = Path(__file__).parents[2] / "src" / "bozzetto" / "assets"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    places = {"EMPTY": "empty", "PHOTO": str(demo / "demo_head.png"), "PHOTO2": str(demo / "demo_head_64.png")}
    assert execute([places.get(word, word) for word in argv]) == code
    assert words in sentence(capsys)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "text.png"]


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in COMMANDS)
    assert execute([]) == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        execute([*name.split(), "--help"])
    assert left.value.code == 0
    assert f"usage: bozzetto {name}" in capsys.readouterr().out


def test_a_wrong_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        execute(["reconstruct", "photo.png", "--albdo", "3"])
    assert left.value.code == 2
    assert "--albedo" in capsys.readouterr().err


def test_doctor_finds_what_the_tests_run_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["doctor"]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"^torch +{re.escape(torch.__version__)}$", told, re.MULTILINE)
    assert re.search(r"^compiled rasteriser +works$", told, re.MULTILINE)


def test_gan_inspect_prints_the_facts_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["gan", "inspect", "--n", "0"]) == 0
    facts = json.loads(capsys.readouterr().out)
    gan = load_gan("heads")
    assert (facts["category"], facts["resolution"], facts["sha256"]) == ("heads", 64, gan.info.sha256)
    assert facts["channels"]["64"] == gan.generator.spec.channels[64]
    assert gan.discriminator is not None
    assert facts["discriminator_parameters"] == sum(p.numel() for p in gan.discriminator.parameters())


def test_gan_sample_draws_a_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    out = tmp_path / "grid.png"
    assert execute(["gan", "sample", "heads", "--n", "5", "--psi", "0", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    with Image.open(out) as picture:
        assert picture.size == (192, 128)
        cells = [picture.crop((64 * (i % 3), 64 * (i // 3), 64 * (i % 3) + 64, 64 * (i // 3) + 64)) for i in range(6)]
    assert all(cell.tobytes() == cells[0].tobytes() for cell in cells[:5])  # psi 0: all are the mean
    assert cells[5].getextrema() == ((0, 0),) * 3


def test_a_latent_of_another_generator_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = load_gan("heads")
    path = tmp_path / "w.safetensors"
    save_latent(path, torch.zeros(3, 7), heads.info)
    photo = Path(__file__).parents[2] / "src" / "bozzetto" / "assets" / "demo_head_64.png"
    assert execute(["reconstruct", str(photo), "--latent", str(path), "--dry-run"]) == 2
    assert f"needs [{heads.info.w_dim}] or [10, {heads.info.w_dim}]" in sentence(capsys)
