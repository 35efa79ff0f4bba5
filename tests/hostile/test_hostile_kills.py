"""kill -9 at every touch of the disk and at random moments: never half a result, in the end the same bits."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile_kill import killed
from hostile_photos import RGB
from hostile_record import record
from hostile_run import FEW, PLAIN, run
from PIL import Image
from safetensors.torch import load_file

from bozzetto import Reconstruction
from bozzetto.gan.checkpoint import read_metadata
from bozzetto.gan.zoo import load_gan

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts by what Linux says of open files")

TENSORS = ("scene.safetensors", "networks.safetensors")
STRIDE = 29  # of the fast part: a prime, so that all kinds of touches are met
MOST = 2000  # touches


def command(gan: Path, photo: Path, out: Path, *words: str) -> list[str | Path]:
    return ["reconstruct", photo, "--gan", gan, *FEW, *PLAIN, "--out", out, *words]


def points(stride: int, start: int = 1) -> Iterator[int]:
    yield from range(start, MOST, stride)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_reconstruct(gan: Path, result: Path, folder: Path, stride: int) -> int:
    """Kill at every `stride`-th touch of the disk, each time in a fresh folder; returns how many kills there were."""
    kills = 0
    for at in points(stride):
        root = folder / f"at{at}"
        root.mkdir()
        out = root / "out"
        photo = result.parent / "photo.png"
        code = killed(command(gan, photo, out), root, at)
        assert code in (0, -signal.SIGKILL), (at, (folder / "told.txt").read_text())
        kills += code != 0
        if out.exists():
            Reconstruction.load(out)  # whole
        again = run(command(gan, photo, out, "--resume"))
        assert again.code == 0, (at, again)
        assert all((out / name).read_bytes() == (result / name).read_bytes() for name in TENSORS), at
        assert left(root) == ["out"], at
        shutil.rmtree(root)
        if code == 0:
            return kills
    raise AssertionError("it never ended")


def test_reconstruct_killed_at_some_touches(gan: Path, result: Path, tmp_path: Path) -> None:
    kills = check_reconstruct(gan, result, tmp_path, STRIDE)
    assert kills >= 3
    record("reconstruct, kill -9 at some writes, fsyncs, renames", kills)


@pytest.mark.hostile
def test_reconstruct_killed_at_every_touch(gan: Path, result: Path, tmp_path: Path) -> None:
    record("reconstruct, kill -9 at every write, fsync, rename", check_reconstruct(gan, result, tmp_path, 1))


@pytest.mark.hostile
def test_replacing_a_result_killed_at_every_touch(gan: Path, result: Path, tmp_path: Path) -> None:
    """The old result, others' files in it included, is there until the new one is; both are whole."""
    photo = result.parent / "photo.png"
    kills = 0
    for at in points(1):
        root = tmp_path / f"at{at}"
        root.mkdir()
        out = root / "out"
        shutil.copytree(result, out)
        (out / "diary.txt").write_text("mine")
        (out / "letters").mkdir()
        argv = command(gan, photo, out, "--seed", "1", "--overwrite")
        code = killed(argv, root, at)
        kills += code != 0
        again = run(command(gan, photo, out, "--seed", "1", *(["--overwrite"] if code else [])))
        assert again.code == 0, (at, again)
        assert Reconstruction.load(out).provenance.seed == 1
        assert (out / "diary.txt").read_text() == "mine", at
        assert (out / "letters").is_dir(), at
        assert left(root) == ["out"], at
        shutil.rmtree(root)
        if code == 0:
            break
    assert kills > 50
    record("reconstruct --overwrite, kill -9 at every write, fsync, rename", kills)


@pytest.mark.hostile
def test_reconstruct_killed_at_random_moments(gan: Path, result: Path, tmp_path: Path) -> None:
    rng, photo, out = random.Random(1), result.parent / "photo.png", tmp_path / "root" / "out"
    out.parent.mkdir()
    kills = 0
    for _ in range(40):
        code = killed(command(gan, photo, out, "--resume"), out.parent, after_s=rng.uniform(0.02, 0.8))
        kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        if out.exists():
            assert all((out / name).read_bytes() == (result / name).read_bytes() for name in TENSORS)
            if rng.random() < 0.7:
                shutil.rmtree(out)
    assert run(command(gan, photo, out, "--resume")).code == 0
    assert all((out / name).read_bytes() == (result / name).read_bytes() for name in TENSORS)
    assert left(out.parent) == ["out"]
    assert kills > 10
    record("reconstruct, kill -9 at random moments", kills)


@pytest.mark.hostile
def test_a_batch_killed_at_random_moments(gan: Path, result: Path, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(4):
        RGB.save(photos / f"p{i}.png")
    (photos / "p2b.png").write_bytes(b"no picture")
    rng, kills = random.Random(2), 0
    argv = command(gan, photos, out, "--resume")
    for _ in range(20):
        kills += killed(argv, out, after_s=rng.uniform(0.05, 0.5)) == -signal.SIGKILL
        done = list(out.glob("p?")) if out.exists() else []
        for path in done:
            assert all((path / name).read_bytes() == (result / name).read_bytes() for name in TENSORS)
        if len(done) == 4:
            shutil.rmtree(out)
    told = run(argv)
    assert told.code == 2, told
    assert left(out) == ["p0", "p1", "p2", "p3"]
    assert kills > 5
    record("batch of photos, kill -9 at random moments", kills)


SMALL = ["--size", "16", "--batch", "8", "--width", "0.25", "--w-dim", "16", "--mapping-layers", "2", "--device", "cpu"]
SMALL += ["--distance-pictures", "0", "--kimg", "0.032", "--save-every", "0.016", "--name", "same"]


def check_training(folder: Path, stride: int) -> int:
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(64):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(pictures / f"{i:03d}.png")
    whole = folder / "whole.safetensors"
    assert run(["gan", "train", pictures, "-o", whole, *SMALL]).code == 0
    expected, card = load_file(whole), whole.with_suffix(".md").read_text()
    kills = 0
    for at in points(stride):
        root = folder / f"at{at}"
        root.mkdir()
        out = root / "g.safetensors"
        argv = ["gan", "train", pictures, "-o", out, *SMALL]
        code = killed(argv, root, at)
        assert code in (0, -signal.SIGKILL), (at, (folder / "told.txt").read_text())
        kills += code != 0
        if out.exists():
            load_gan(out)  # whole
        again = run([*argv, "--resume"])
        assert again.code == 0, (at, again)
        found = load_file(out)
        assert all(bool((found[key] == expected[key]).all()) for key in expected), at
        assert read_metadata(out) == read_metadata(whole)
        assert out.with_suffix(".md").read_text() == card
        names = {"g.safetensors", "g.training", "g.png", "g.md"}
        assert set(left(root)) == names, at
        assert ".lock" not in left(root / "g.training")
        shutil.rmtree(root)
        if code == 0:
            return kills
    raise AssertionError("it never ended")


@pytest.mark.hostile
def test_training_killed_at_every_touch(tmp_path: Path) -> None:
    record("gan train, kill -9 at every write, fsync, rename", check_training(tmp_path, 1))


def test_training_killed_at_some_touches(tmp_path: Path) -> None:
    assert check_training(tmp_path, STRIDE) >= 1


HOLDER = "import sys, time; from pathlib import Path; from bozzetto.lock import acquire\n"
HOLDER += "acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def test_a_second_process_says_that_the_folder_is_taken(gan: Path, result: Path, tmp_path: Path) -> None:
    out, photo = tmp_path / "out", result.parent / "photo.png"
    (tmp_path / "out.partial").mkdir()
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "out.partial")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for flag in ("--resume", "--overwrite"):
            told = run(command(gan, photo, out, flag))
            assert told.code == 5
            assert f"being worked on by another process ({holder.pid})" in told.complaints[0]
        holder.kill()
    assert (tmp_path / "out.partial" / ".lock").exists()  # a killed process's lock holds nobody up
    assert run(command(gan, photo, out)).code == 0
    assert left(tmp_path) == ["out"]
