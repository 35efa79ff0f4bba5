"""kill -9 at every touch of the disk and at random moments: never half a result, in the end the same bits."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_kill import killed
from hostile_record import record
from hostile_run import run
from hostile_work import TENSORS, Autoencode, Photo, Photos, TrainGan, TrainGeneral, Work, left

from bozzetto import Reconstruction

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts by what Linux says of open files")

STRIDE = 29  # of the fast part: a prime, so that all kinds of touches are met
MOST = 2000  # touches


def points(stride: int, start: int = 1) -> Iterator[int]:
    yield from range(start, MOST, stride)


def check_kills(work: Work, folder: Path, stride: int) -> int:
    """Kill at every `stride`-th touch of the disk, each time in a fresh folder; returns how many kills there were."""
    kills = 0
    for at in points(stride):
        root = folder / f"at{at}"
        root.mkdir()
        ended = killed(work.argv(root), root, at)
        assert ended.code in (work.code, -signal.SIGKILL), (at, ended)
        kills += ended.code != work.code
        work.check_whole(root)
        work.resume(root, at)
        shutil.rmtree(root)
        if ended.code == work.code:
            return kills
    raise AssertionError("it never ended")


def test_reconstruct_killed_at_some_touches(gan: Path, result: Path, tmp_path: Path) -> None:
    kills = check_kills(Photo(gan, result), tmp_path, STRIDE)
    assert kills >= 3
    record("reconstruct, kill -9 at some writes, fsyncs, renames", kills)


@pytest.mark.hostile
def test_reconstruct_killed_at_every_touch(gan: Path, result: Path, tmp_path: Path) -> None:
    record("reconstruct, kill -9 at every write, fsync, rename", check_kills(Photo(gan, result), tmp_path, 1))


@pytest.mark.hostile
def test_replacing_a_result_killed_at_every_touch(gan: Path, result: Path, tmp_path: Path) -> None:
    """The old result, others' files in it included, is there until the new one is; both are whole."""
    kills = 0
    for at in points(1):
        root = tmp_path / f"at{at}"
        root.mkdir()
        out = root / "out"
        shutil.copytree(result, out)
        (out / "diary.txt").write_text("mine")
        (out / "letters").mkdir()
        argv = [*Photo(gan, result).argv(root), "--seed", "1"]
        code = killed([*argv, "--overwrite"], root, at).code
        assert code in (0, -signal.SIGKILL), at
        kills += code != 0
        again = run([*argv, *(["--overwrite"] if code else [])])
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
    rng, work, root = random.Random(1), Photo(gan, result), tmp_path / "root"
    root.mkdir()
    kills = 0
    for _ in range(40):
        code = killed([*work.argv(root), "--resume"], root, after_s=rng.uniform(0.02, 0.8)).code
        kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        if (root / "out").exists():
            assert all((root / "out" / name).read_bytes() == (result / name).read_bytes() for name in TENSORS)
            if rng.random() < 0.7:
                shutil.rmtree(root / "out")
    work.resume(root)
    assert kills > 10
    record("reconstruct, kill -9 at random moments", kills)


@pytest.mark.hostile
def test_a_batch_killed_at_random_moments(gan: Path, result: Path, tmp_path: Path) -> None:
    rng, work, root, kills = random.Random(2), Photos(gan, result, tmp_path), tmp_path / "root", 0
    root.mkdir()
    for _ in range(20):
        kills += killed(work.argv(root), root, after_s=rng.uniform(0.05, 0.5)).code == -signal.SIGKILL
        work.check_whole(root)
        if len(list((root / "out").glob("p?"))) == len(work.names):
            shutil.rmtree(root / "out")
    work.resume(root)
    assert kills > 5
    record("batch of photos, kill -9 at random moments", kills)


@pytest.mark.hostile
def test_training_killed_at_every_touch(tmp_path: Path) -> None:
    record("gan train, kill -9 at every write, fsync, rename", check_kills(TrainGan(tmp_path), tmp_path, 1))


def test_training_killed_at_some_touches(tmp_path: Path) -> None:
    assert check_kills(TrainGan(tmp_path), tmp_path, STRIDE) >= 1


@pytest.mark.hostile
def test_a_joint_training_killed_at_every_touch(gan: Path, tmp_path: Path) -> None:
    record(
        "general train, kill -9 at every write, fsync, rename", check_kills(TrainGeneral(gan, tmp_path), tmp_path, 1)
    )


def test_a_joint_training_killed_at_some_touches(gan: Path, tmp_path: Path) -> None:
    assert check_kills(TrainGeneral(gan, tmp_path), tmp_path, 2 * STRIDE + 1) >= 1


@pytest.mark.hostile
def test_an_autoencoding_killed_at_every_touch(gan: Path, tmp_path: Path) -> None:
    record(
        "general autoencode, kill -9 at every write, fsync, rename", check_kills(Autoencode(gan, tmp_path), tmp_path, 1)
    )


def test_an_autoencoding_killed_at_some_touches(gan: Path, tmp_path: Path) -> None:
    assert check_kills(Autoencode(gan, tmp_path), tmp_path, STRIDE) >= 1


@pytest.mark.hostile
def test_a_batch_killed_at_many_touches(gan: Path, result: Path, tmp_path: Path) -> None:
    """Every photo's touches are those of one alone, whose every one is met above."""
    kills = check_kills(Photos(gan, result, tmp_path, count=2), tmp_path, 11)
    record("batch of photos, kill -9 at every eleventh write, fsync, rename", kills)


@pytest.mark.hostile
@pytest.mark.parametrize("name", ["gan train", "general train"])
def test_a_training_killed_at_random_moments(name: str, gan: Path, tmp_path: Path) -> None:
    work = TrainGan(tmp_path) if name == "gan train" else TrainGeneral(gan, tmp_path)
    rng, root, kills = random.Random(3), tmp_path / "root", 0
    root.mkdir()
    for _ in range(30):
        code = killed([*work.argv(root), "--resume"], root, after_s=rng.uniform(0.02, 0.8)).code
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        work.check_whole(root)
        if code == 0:
            work.check(root)
            shutil.rmtree(root)
            root.mkdir()
    work.resume(root)
    assert kills > 5
    record(f"{name}, kill -9 at random moments", kills)


@pytest.mark.parametrize("name", ["gan train", "general train"])
def test_a_second_training_says_that_the_folder_is_taken(name: str, gan: Path, tmp_path: Path) -> None:
    work = TrainGan(tmp_path) if name == "gan train" else TrainGeneral(gan, tmp_path)
    root = tmp_path / "root"
    root.mkdir()
    killed(work.argv(root), root, 25)  # leaves a training to go on with
    (working,) = (path for path in root.iterdir() if path.name.endswith(".training"))
    words = [sys.executable, "-c", HOLDER, str(working)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = run([*work.argv(root), "--resume"])
        assert told.code == 5
        assert f"being worked on by another process ({holder.pid})" in told.complaints[0]
        holder.kill()
    work.resume(root)


HOLDER = "import sys, time; from pathlib import Path; from bozzetto.lock import acquire\n"
HOLDER += "acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def test_a_second_process_says_that_the_folder_is_taken(gan: Path, result: Path, tmp_path: Path) -> None:
    argv = Photo(gan, result).argv(tmp_path)
    (tmp_path / "out.partial").mkdir()
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "out.partial")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for flag in ("--resume", "--overwrite"):
            told = run([*argv, flag])
            assert told.code == 5
            assert f"being worked on by another process ({holder.pid})" in told.complaints[0]
        holder.kill()
    assert (tmp_path / "out.partial" / ".lock").exists()  # a killed process's lock holds nobody up
    assert run(argv).code == 0
    assert left(tmp_path) == ["out"]
