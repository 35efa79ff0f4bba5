"""`bozzetto gan train` end to end, at 16 px: what it writes, that it goes on, what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from bozzetto.cli.main import execute
from bozzetto.gan.checkpoint import read_metadata
from bozzetto.gan.training.shapes import spec_for
from bozzetto.gan.training.trainer import TrainConfig, Trainer
from bozzetto.gan.zoo import load_gan
from bozzetto.gan_distance import measure_distance

SMALL = ["--size", "16", "--batch", "8", "--width", "0.25", "--w-dim", "16", "--mapping-layers", "2"]
QUIET = ["--device", "cpu", "--distance-pictures", "0"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(66):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{i:03d}.png")
    return folder


def run(source: Path, out: Path, *flags: str, kimg: str = "0.064") -> int:
    return execute(["gan", "train", str(source), "-o", str(out), *SMALL, *QUIET, "--kimg", kimg, *flags])


def test_writes_a_generator_that_loads(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.safetensors"
    assert run(pictures, out, "--category", "noise", "--licence", "CC0", "--save-every", "0.032") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    gan = load_gan(out)
    assert (gan.info.name, gan.info.category, gan.info.licence) == ("mine", "noise", "CC0")
    assert (gan.info.resolution, gan.info.w_dim) == (16, 16)
    assert gan.logits(gan.image_from_w(gan.w_from_z(torch.randn(2, 16)))).shape == (2, 1)
    folder = tmp_path / "mine.training"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.032, 0.064]
    assert {path.name for path in folder.iterdir()} == {
        "state.json", "state.safetensors", "log.jsonl", "samples_00000k.png",
    }  # fmt: skip
    assert "66 pictures, 64 seen" in out.with_suffix(".md").read_text()
    assert Image.open(out.with_suffix(".png")).size == (96, 96)


def test_pictures_too_small_for_the_distance_are_trained_on_all_the_same(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.safetensors"
    assert execute(["gan", "train", str(pictures), "-o", str(out), *SMALL, "--device", "cpu", "--kimg", "0.016"]) == 0
    assert "No distance is measured" in capsys.readouterr().err
    assert load_gan(out).info.resolution == 16


def test_seeing_more_later_is_seeing_all_at_once(pictures: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.safetensors", tmp_path / "twice.safetensors"
    name = ["--name", "same"]
    assert run(pictures, once, *name, kimg="0.08") == 0
    assert run(pictures, twice, *name, kimg="0.04") == 0
    assert run(pictures, twice, *name, "--resume", kimg="0.08") == 0
    a, b = (load_file(p.with_suffix(".training") / "state.safetensors") for p in (once, twice))
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []
    # The files too, but for the order of their metadata, which safetensors does not keep.
    tensors = [load_file(path) for path in (once, twice)]
    assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0].keys() | tensors[1].keys())
    assert read_metadata(once) == read_metadata(twice)


def test_ctrl_c_keeps_the_training(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    command = [sys.executable, "-m", "bozzetto", "gan", "train", str(pictures), "-o", str(out), *SMALL, *QUIET]
    process = subprocess.Popen(
        [*command, "--kimg", "100000", "--save-every", "0.016"], stderr=subprocess.PIPE, text=True
    )
    while not out.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with --resume" in said
    assert "Traceback" not in said
    steps = int(load_file(out.with_suffix(".training") / "state.safetensors")["steps"])
    more = f"{(steps + 2) * 8 / 1000}"
    assert execute([*command[3:], "--kimg", more, "--resume"]) == 0
    assert int(load_file(out.with_suffix(".training") / "state.safetensors")["steps"]) == steps + 2


def test_starts_from_another_generator(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert run(pictures, first) == 0
    assert run(pictures, second, "--start", str(first)) == 0
    assert "layers start from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--size", "48"], "can be trained at"),
        (["--kimg", "0"], "kimg must be between 0 and 1e+09, not 0"),
        (["--batch", "0"], "batch must be"),
        (["--kimg", "inf"], "kimg must be between 0 and 1e+09, not inf"),
        (["--learning-rate", "nan"], "learning_rate must be between 0 and 1, not nan"),
        (["--beta2", "2"], "beta2 must be between 0 and 1"),
        (["--path-interval", "0"], "path_interval must be finite and at least 1"),
        (["--augmentation.interval", "0"], "augmentation.interval must be finite and at least 1"),
        (["--shift", "3"], "shift must be from 0 to 0.5"),
        (["--mixing", "7"], "mixing must be from 0 to 1"),
        (["--w-dim", "0"], "w_dim must be from 1 to 4096"),
        (["--limit", "9" * 400], "limit must be from 1 to 1e+09"),
        (["--distance-pictures", "1"], "distance_pictures must be 2 at least"),
        (["--seed", str(2**64)], "The seed cannot be"),
        (["--start", "nobody"], "There is no generator 'nobody'"),
        (["-o", "x.pt"], "must end in .safetensors"),
    ],
)
def test_wrong_settings_are_one_sentence(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    assert run(pictures, tmp_path / "x.safetensors", *flags) != 0
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "x.safetensors").exists()


def test_a_finished_file_is_not_replaced_unasked(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.safetensors"
    out.write_bytes(b"mine")
    assert run(pictures, out) != 0
    assert out.read_bytes() == b"mine"
    assert "--resume" in capsys.readouterr().err


def test_distance_says_what_is_missing_or_wrong(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.safetensors"
    assert run(pictures, out) == 0
    assert execute(["gan", "distance", str(pictures), "--gan", str(out), "--n", "1000"]) != 0
    assert "holds 66 pictures" in capsys.readouterr().err
    assert execute(["gan", "distance", str(pictures), "--gan", str(out), "--n", "1"]) != 0
    assert "2 at least" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="the network comes with an extra")
def test_distance_tells_real_from_untrained() -> None:
    stripes = torch.arange(32).view(1, 1, 1, 32).expand(40, 3, 32, 32) * 7
    shift = torch.arange(40).view(40, 1, 1, 1)
    images = ((stripes + shift) % 256).to(torch.uint8)
    trainer = Trainer(spec_for(32, 0.25, 16, 2), TrainConfig())
    found = measure_distance(trainer.average, images, 20)
    assert found is not None
    assert 0 <= found["frechet_stlpips_real"] < found["frechet_stlpips"]
    assert found == measure_distance(trainer.average, images, 20)
