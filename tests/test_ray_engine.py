"""A batch on a Ray cluster: real workers, one of them killed, and a real interrupt."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bozzetto.batch import Order, each, name_folders
from bozzetto.cli.main import execute
from bozzetto.errors import InputError, MissingExtraError
from bozzetto.export.images import picture
from bozzetto.keep import Quiet
from bozzetto.ray_engine import Standing, _Batch, each_on_ray
from bozzetto.results.folder import RECORD
from bozzetto.results.partial import LOG
from bozzetto.results.partial import RECORD as STATE_RECORD
from tiny_run import CONFIG, INVERSION, photo, same_files, write_gan

TENSORS = ("scene.safetensors", "networks.safetensors")
LONG = replace(CONFIG, stages=(replace(CONFIG.stages[0], project=60),))


class Ears:
    """Hears a batch."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.standing: list[Standing] = []

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_standing(self, standing: Standing) -> None:
        self.standing.append(standing)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a generator and four photos."""
    folder = tmp_path_factory.mktemp("place")
    write_gan(folder / "tiny.safetensors")
    (folder / "photos").mkdir()
    for seed in range(4):
        picture(photo(seed)).save(folder / "photos" / f"{seed}.png")
    return folder


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def order_of(place: Path, **words: Any) -> Order:
    gan = str(place / "tiny.safetensors")
    return Order(LONG, INVERSION, gan=gan, mask="border", formats=("png",), device="cpu", **words)


def jobs_in(place: Path, out: str, *more: Path) -> list[tuple[Path, Path]]:
    photos = [*sorted((place / "photos").glob("*.png")), *more]
    return list(zip(photos, name_folders(photos, place / out), strict=True))


def progress_of(folder: Path) -> int:
    """Iterations that a working folder keeps."""
    try:
        return int(json.loads((folder / STATE_RECORD).read_text())["progress"].get("done", 0))
    except (OSError, ValueError, KeyError):
        return 0


def listens_at(pid: int) -> set[str]:
    """Addresses, in hexadecimal, that a process and all that it has started listen at."""
    family, found = {pid}, {""}
    for path in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) in family:
                family.add(int(path.parent.name))
    for one in family:
        for handle in Path(f"/proc/{one}/fd").glob("*"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(handle))
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in found}


class Killer(threading.Thread):
    """Kills the worker of a photo as soon as it has kept something."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.partial = folder.with_name(folder.name + ".partial")
        self.kept: list[str] = []  # lines of the log that belong to the state
        self.pid = 0

    def run(self) -> None:
        for _ in range(30_000):
            done = progress_of(self.partial)
            if done:
                pid = int((self.partial / ".lock").read_text())
                os.kill(pid, signal.SIGSTOP)  # so that it cannot end in between
                self.kept = (self.partial / LOG).read_text().splitlines()[: progress_of(self.partial)]
                self.pid = pid
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.002)


@pytest.mark.ray
@pytest.mark.usefixtures("one_thread")
def test_a_killed_worker_loses_nothing_and_nothing_is_done_twice(place: Path) -> None:
    pytest.importorskip("ray")
    (place / "bad.png").write_text("no picture")
    jobs = jobs_in(place, "cluster", place / "bad.png")
    order, ears, killer = order_of(place), Ears(), Killer(jobs[0][1])
    killer.start()
    found = {outcome.folder: outcome for outcome in each_on_ray(jobs, order, "local", ears, cpus=2)}
    killer.join(1)
    assert killer.pid > 0
    with pytest.raises(ProcessLookupError):
        os.kill(killer.pid, 0)

    assert set(found) == {folder for _, folder in jobs}
    bad = found.pop(place / "cluster" / "bad")
    assert isinstance(bad.error, InputError)  # and is not tried again
    assert re.search(r"bad\.png is not an image", str(bad.error))
    assert all(outcome.error is None and outcome.result is not None for outcome in found.values())
    assert len([note for note in ears.notes if "its worker died" in note]) == 1
    last = ears.standing[-1]
    assert (last.total, last.done, last.failed, last.fresh, last.workers) == (5, 5, 1, 4, 2)
    assert last.per_hour > 0
    assert sorted(path.name for path in (place / "cluster").iterdir()) == ["0", "1", "2", "3"]

    # The next worker went on with what was kept, to the bits that nobody's death would have made.
    log = (jobs[0][1] / LOG).read_text().splitlines()
    assert len(killer.kept) > 0
    assert log[: len(killer.kept)] == killer.kept
    assert [json.loads(line)["done"] for line in log] == list(range(1, len(log) + 1))
    here = [(path, place / "here" / folder.name) for path, folder in jobs[:4]]
    assert all(outcome.error is None for outcome in each(here, lambda a, b: order.run(order.plan(a), b, Quiet())))
    for (_, folder), (_, same) in zip(jobs[:4], here, strict=True):
        assert same_files(folder, same, *TENSORS)

    before = {folder: (folder / RECORD).stat() for folder in found}
    again = Ears()
    assert all(outcome.error is None for outcome in each_on_ray(jobs[:4], order, "local", again, cpus=2))
    assert again.standing[-1].fresh == 0
    assert len([note for note in again.notes if "finished already" in note]) == 4
    assert before == {folder: (folder / RECORD).stat() for folder in found}


@pytest.mark.ray
@pytest.mark.usefixtures("one_thread")
def test_ctrl_c_keeps_what_runs_and_resume_ends_where_it_would_have(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    listed = place / "two.txt"
    listed.write_text("photos/0.png\nphotos/1.png\n")
    few = [
        *("--albedo", "2", "--project", "300", "--factorise", "2", "--samples", "2", "--stages", "1"),
        *("--collect-batches", "2", "--prior.iterations", "3", "--prior.threshold", "0", "--turn.use", "False"),
        *(
            "--inversion.steps",
            "3",
            "--inversion.start-samples",
            "64",
            "--inversion.hopeless-db",
            "0",
            "--formats",
            "png",
            "--mask",
            "border",
        ),
        *("--nets.width", "0.25", "--device", "cpu", "--gan", str(place / "tiny.safetensors")),
    ]
    argv = ["reconstruct", str(listed), *few, "--out", str(place / "stopped")]
    cluster = ["--engine", "ray", "--ray-address", "local"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bozzetto", *argv, *cluster],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    partial = place / "stopped" / "0.partial"
    until = time.monotonic() + 120
    while not progress_of(partial) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    kept = progress_of(partial)
    if sys.platform == "linux":  # a cluster of this machine alone is not seen from others
        loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
        assert listens_at(process.pid) & loopback
        assert listens_at(process.pid) <= loopback
    process.send_signal(signal.SIGINT)
    told = process.communicate()
    assert process.returncode == 130, told
    assert told[0] == ""
    last = "bozzetto: Stopped; 0 of 2 photos are done, and others keep their state: "
    assert told[1].splitlines()[-1] == f"{last}go on with the same command and --resume."
    assert progress_of(partial) >= kept > 0
    assert not (partial / ".lock").exists()  # the worker has put its state there and let go of it
    assert execute([*argv, *cluster]) == 5
    assert "go on with --resume" in capsys.readouterr().err
    assert execute([*argv, *cluster, "--resume"]) == 0
    told_now = capsys.readouterr()
    assert sorted(told_now.out.splitlines()) == [str(place / "stopped" / name) for name in "01"]
    assert re.search(r"2 of 2 photos, \d+ at once, \S+ photos/hour", told_now.err)
    assert execute(["reconstruct", str(listed), *few, "--out", str(place / "straight")]) == 0
    for name in "01":
        assert same_files(place / "stopped" / name, place / "straight" / name, *TENSORS)


@pytest.mark.ray
def test_without_a_cluster_it_says_how_to_start_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=r"no Ray cluster .* `ray start --head`"):
        next(each_on_ray(jobs_in(place, "nowhere"), order_of(place), "auto", Ears()))


def test_without_ray_it_says_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"bozzetto\[ray\]"):
        next(each_on_ray(jobs_in(place, "nowhere"), order_of(place), "local", Ears()))


def submitted(place: Path, order: Order, jobs: list[tuple[Path, Path]]) -> Iterator[tuple[_Batch, list[Order]]]:
    orders: list[Order] = []
    task = SimpleNamespace(remote=lambda order, *rest: orders.append(order) or len(orders))
    ray: Any = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0}, remote=lambda **words: lambda work: task)
    yield _Batch(ray, jobs, order, Ears(), ""), orders


def test_a_result_that_a_dead_worker_put_in_place_is_not_overwritten(place: Path) -> None:
    """With --overwrite the first attempt replaces what was there; the next ones must not replace the first one's."""
    order, folder = order_of(place, overwrite=True), place / "over" / "0"
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("old")
    batch, orders = next(submitted(place, order, [(place / "photos" / "0.png", folder)]))
    first = batch.waiting.popleft()
    batch._submit(first)
    batch._submit(replace(first, number=2))
    (folder / "new").write_text("new")
    os.replace(folder / "new", folder / RECORD)
    batch._submit(replace(first, number=2))
    assert [(one.resume, one.overwrite) for one in orders] == [(False, True), (True, True), (True, False)]


def test_an_order_means_the_same_from_any_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "heads").write_text("a file that has a generator's name")
    order = replace(order_of(place), gan="tiny.safetensors", mask="photos/0.png", latent=Path("w.npy"))
    whole = order.from_anywhere()
    assert whole.gan == str(place / "tiny.safetensors")
    assert whole.mask == str(place / "photos" / "0.png")
    assert whole.latent == place / "w.npy"
    assert replace(whole, gan="heads", general="heads", mask="auto").from_anywhere().gan == "heads"
    assert order.from_anywhere().from_anywhere() == whole
