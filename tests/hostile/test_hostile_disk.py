"""A disk that is full or read-only in the middle of a run: one sentence, the state kept, in the end the same bits."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hostile_kill import Ended, forked, kept, refused
from hostile_record import record
from hostile_run import is_clear, run
from hostile_work import Photo, Photos, TrainGan, TrainGeneral, Work

from bozzetto.errors import OutputError
from bozzetto.method.collected import Collected

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts by what Linux says of open files")

MOST = 2000  # touches
WORKS = ("reconstruct", "reconstruct, several photos", "gan train", "general train")
ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS}
OUTCOME = "one sentence; what was there is kept; --resume ends with the same bits"


@pytest.fixture(scope="module")
def works(gan: Path, result: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Work]:
    folders = [tmp_path_factory.mktemp(name) for name in ("several", "training", "joint")]
    photos = Photos(gan, result, folders[0], count=2)
    made: list[Work] = [Photo(gan, result), photos, TrainGan(folders[1]), TrainGeneral(gan, folders[2])]
    return dict(zip(WORKS, made, strict=True))


def check_told(work: Work, ended: Ended) -> None:
    """One sentence of a photo, and an exit code."""
    assert ended.told is not None, ended
    if isinstance(work, Photos):
        told = ended.told
        assert told.code in (2, 5), told
        assert "Traceback" not in told.err
        failed = [line for line in told.complaints if "/photos/" in line and "photos failed" not in line]
        assert len(told.complaints) == len(failed) + 1, told  # each by itself, and all of them at the end
        assert len(failed) <= len(work.names) + 1
        assert all(line.endswith(".") for line in told.complaints)
    else:
        is_clear(ended.told, 5)
        assert "part." not in ended.told.err, ended  # no temporary names


def check_refusals(work: Work, folder: Path, kind: str, start: int, stride: int) -> int:
    """Refuse from every `stride`-th touch of the disk on, each time in a fresh folder; returns how often it was."""
    times = 0
    for at in range(start, MOST, stride):
        root = folder / f"at{at}"
        root.mkdir()
        ended, before = refused(work.argv(root), root, at, ERRORS[kind], full=kind == "full")
        if ended.code != work.code or before is not None:
            times += 1
            assert before is not None, (at, ended)
            after = kept(root)
            assert {name: after.get(name) for name in before} == before, (at, ended)
        if ended.code != work.code:
            check_told(work, ended)
        work.check_whole(root)
        work.resume(root, (at, ended))
        shutil.rmtree(root)
        if before is None:
            return times
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    ("name", "kind", "start"),
    [(WORKS[0], "read-only", 70), (WORKS[1], "full", 190), (WORKS[2], "full", 50), (WORKS[3], "read-only", 60)],
)
def test_a_disk_that_refuses_in_the_middle(
    name: str, kind: str, start: int, works: dict[str, Work], tmp_path: Path
) -> None:
    assert check_refusals(works[name], tmp_path, kind, start, 500) == 1


@pytest.mark.hostile
@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("name", WORKS)
def test_a_disk_that_refuses_at_many_touches(name: str, kind: str, works: dict[str, Work], tmp_path: Path) -> None:
    """At every second touch, full and read-only by turns; with several photos at every tenth."""
    stride = 20 if name == WORKS[1] else 4
    times = check_refusals(works[name], tmp_path, kind, 1 if kind == "full" else 1 + stride // 2, stride)
    record(f"{name}, disk {kind} from a touch on (injected)", times, OUTCOME)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, where the test may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file beside the work's own that leaves so many bytes free."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    with filler.open("wb") as file:
        for _ in range((free - leave) // 4096):
            file.write(bytes(4096))
    assert abs(shutil.disk_usage(disk).free - leave) < 8192
    return filler


def check_full(work: Work, disk: Path, steps: list[int]) -> int:
    """A disk with so many bytes left; returns how often that was too little."""
    times = 0
    for leave in steps:
        root = disk / f"leave{leave}"
        root.mkdir()
        filler = fill(disk, leave)
        ended = forked(work.argv(root), lambda: None)
        assert ended.told is not None, (leave, ended)
        if ended.code != work.code or isinstance(work, Photos):
            check_told(work, ended)
        times += ended.code != work.code or len(ended.told.complaints) > 2
        work.check_whole(root)
        filler.unlink()
        work.resume(root, (leave, ended))
        shutil.rmtree(root)
    return times


KB = 1024


@pytest.mark.parametrize("name", [WORKS[0], WORKS[3]])
def test_a_disk_that_is_really_full(name: str, works: dict[str, Work], small_disk: Path) -> None:
    assert check_full(works[name], small_disk, [6000 * KB]) == 1


def test_samples_have_their_room_before_any_is_kept(small_disk: Path) -> None:
    """A file without room that is mapped into memory would end the process when the disk is full, unheard."""
    with pytest.raises(OutputError, match=r"no room for 234 MB of samples .*free some space"):
        Collected(small_disk / "many", photos=100, kept=100, size=64)
    store = Collected(small_disk / "few", photos=10, kept=10, size=64)
    (small_disk / "many").unlink()
    fill(small_disk, 0)
    images = torch.rand(100, 3, 64, 64, generator=torch.Generator().manual_seed(0)).half().float()
    store.put(torch.arange(10), 0, images)
    store.flush()
    assert torch.equal(store.take(torch.arange(100) // 10, torch.arange(100) % 10), images)


@pytest.mark.hostile
@pytest.mark.parametrize("name", WORKS)
def test_a_disk_with_more_and_more_space(name: str, works: dict[str, Work], small_disk: Path) -> None:
    """The last size is enough, so that the sizes before it reach all that is written."""
    steps = [0, 4, 8, 16, 32, 64, 128, 256, 512, *range(1024, 40_000, 3072), 70_000]
    times = check_full(works[name], small_disk, [step * KB for step in steps])
    assert 0 < times < len(steps)
    record(f"{name}, a file system that is full", times, OUTCOME)


@pytest.mark.parametrize("name", WORKS)
def test_a_file_system_that_is_read_only(name: str, works: dict[str, Work], small_disk: Path) -> None:
    """From the beginning: a file system cannot become read-only while a file is open for writing."""
    work = works[name]
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = run(work.argv(small_disk))
    check_told(work, Ended(told.code, told))
    assert list(small_disk.iterdir()) == []
