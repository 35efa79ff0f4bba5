"""The same batch on a Ray cluster: a photo a task, its result written by the worker and looked at here.

Nothing is lost with a worker that dies: its state lies in the photo's working folder, and the next one goes on with it.
Nothing is done twice: a folder that is finished is read and not made again, and one process at a time has its lock. The
folder of the results has to be one that all machines share.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from bozzetto.batch import Order, Outcome, tools_of
from bozzetto.errors import BozzettoError, InputError, MissingExtraError, OutputError
from bozzetto.keep import Interrupted, Interrupts, Quiet
from bozzetto.pipeline import find_finished
from bozzetto.results import Reconstruction, is_result_folder
from bozzetto.results.folder import RECORD
from bozzetto.results.provenance import versions

ATTEMPTS = 4  # of one photo: a worker that dies is not the photo's fault, four of them are
IN_FLIGHT = 2000  # tasks that the cluster knows of at once
GRACE_S = 60.0  # for running tasks to put their state on disk after an interrupt
SEEN_WITHIN_S = 5.0  # file servers tell of new folders late


@dataclass(frozen=True)
class Standing:
    """How far a batch is."""

    total: int
    done: int  # well or not
    failed: int
    fresh: int  # done by this batch: neither failed nor finished before
    seconds: float
    workers: int  # photos that the cluster works on at once, as it is now

    @property
    def per_hour(self) -> float:
        """Photos an hour, of those that were not finished before."""
        return 3600 * self.fresh / self.seconds if self.seconds > 0 else 0.0


@runtime_checkable
class Onlooker(Protocol):
    """Hears how a batch is going."""

    def on_note(self, text: str) -> None: ...

    def on_standing(self, standing: Standing) -> None: ...


# ---------------------------------------------------------------- in a worker


@dataclass(frozen=True)
class Report:
    """What a worker says of its photo."""

    where: str  # name of the machine
    settings: dict[str, Any] | None = None  # of the result
    fresh: bool = True  # False: it was finished already
    notes: tuple[str, ...] = ()
    error: BozzettoError | None = None


class _Notes(Quiet):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_note(self, text: str) -> None:
        self.texts.append(text)


def work(order: Order, photo: Path, folder: Path, version: str) -> Report:
    """One photo, in a worker; errors a user can cause come back as part of the report."""
    where, notes = socket.gethostname(), _Notes()
    try:
        if versions()["bozzetto"] != version:
            own = versions()["bozzetto"]
            raise InputError(f"The machine {where} has bozzetto {own}, not {version}; install the same on all.")
        job, before = order.plan(photo), _stamp(folder)
        order.run(job, folder, notes)
        return Report(where, job.settings(), _stamp(folder) != before, tuple(notes.texts))
    except BozzettoError as error:
        return Report(where, notes=tuple(notes.texts), error=error)


def _stamp(folder: Path) -> tuple[int, int] | None:
    """What tells one writing of a result from another; None where there is none."""
    try:
        found = os.stat(folder / RECORD)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


# ---------------------------------------------------------------- here


def each_on_ray(
    jobs: Sequence[tuple[Path, Path]], order: Order, address: str, onlooker: Onlooker, cpus: int | None = None
) -> Iterator[Outcome[Reconstruction]]:
    """Do the order for every (photo, folder) on a Ray cluster and yield what came of it, as it comes.

    Args:
        jobs: photos and their result folders.
        order: what is wanted of them.
        address: auto, the cluster this machine is part of; local, one on this machine alone, that the network does not
            see; or what else `ray.init` takes.
        onlooker: hears notes and how far the batch is.
        cpus: photos at once on a local cluster; as many as there are cores if not given.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError, CheckpointError: there is no such cluster, or the order names files that cannot be used.
        Interrupted: Ctrl-C, once the state of running photos is on disk.
    """
    ray = _import_ray(address)
    order = order.from_anywhere()
    generator = tools_of(replace(order, device="cpu")).gan.info.sha256
    _connect(ray, address, cpus)
    try:
        yield from _Batch(ray, jobs, order, onlooker, generator).outcomes()
    finally:
        ray.shutdown()


def _import_ray(address: str) -> ModuleType:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts
    if address == "local":
        # Read when Ray is imported. In spite of its name it is heard everywhere; without it a cluster of this machine
        # alone would listen to the whole network.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError('--engine ray needs Ray; install it with `pip install "bozzetto[ray]"`.') from error
    return ray


def _connect(ray: ModuleType, address: str, cpus: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address == "local":
            loopback = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            ray.init("local", num_cpus=cpus, **loopback, **quiet)
        else:
            ray.init(address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"There is no Ray cluster to be reached at '{address}' ({reason.rstrip('.')}); start one with "
            "`ray start --head`, or use --ray-address local."
        ) from error


@dataclass
class _Attempt:
    photo: Path
    folder: Path
    number: int
    before: tuple[int, int] | None  # stamp of the result that was there at first


class _Batch:
    """The tasks of one batch: waiting, with the cluster, done."""

    def __init__(
        self, ray: Any, jobs: Sequence[tuple[Path, Path]], order: Order, onlooker: Onlooker, generator: str
    ) -> None:
        self.ray, self.order, self.onlooker, self.generator = ray, order, onlooker, generator
        self.waiting = deque(_Attempt(photo, folder, 1, _stamp(folder)) for photo, folder in jobs)
        self.running: dict[Any, _Attempt] = {}
        self.total, self.done, self.failed, self.fresh = len(jobs), 0, 0, 0
        self.start = time.monotonic()
        on_gpu = order.device.startswith("cuda") or (order.device == "auto" and self._at_once("GPU") > 0)
        if on_gpu and self._at_once("GPU") == 0:
            onlooker.on_note("No machine of the cluster has a GPU yet; the photos wait for one.")
        self.kind = "GPU" if on_gpu else "CPU"
        # Ray's own retries would not know that there is something to go on with.
        self.task = ray.remote(num_cpus=1, num_gpus=int(on_gpu), max_retries=0)(work)

    def outcomes(self) -> Iterator[Outcome[Reconstruction]]:
        with Interrupts("Stopped.") as interrupts:
            interrupts.patient = (
                True  # the first one is seen between two waits, and not in the middle of Ray's own work
            )
            try:
                self.onlooker.on_standing(self.standing())
                while self.waiting or self.running:
                    interrupts.raise_if_asked()
                    while self.waiting and len(self.running) < IN_FLIGHT:
                        self._submit(self.waiting.popleft())
                    for ref in self.ray.wait(list(self.running), timeout=1.0)[0]:
                        outcome = self._settle(ref, self.running.pop(ref))
                        if outcome is not None:
                            self.done += 1
                            self.failed += outcome.error is not None
                            self.onlooker.on_standing(self.standing())
                            yield outcome
                interrupts.raise_if_asked()
            except BaseException as error:  # an interrupt, or whatever ended the taking of outcomes
                self._stop()
                if isinstance(error, KeyboardInterrupt):
                    far = f"{self.done} of {self.total} photos are done"
                    text = f"Stopped; {far}, and others keep their state: go on with the same command and --resume."
                    raise Interrupted(text, interrupts.asked or signal.SIGINT) from None
                raise

    def standing(self) -> Standing:
        seconds = time.monotonic() - self.start
        return Standing(self.total, self.done, self.failed, self.fresh, seconds, self._at_once(self.kind))

    def _at_once(self, kind: str) -> int:
        return int(self.ray.cluster_resources().get(kind, 0))

    def _submit(self, attempt: _Attempt) -> None:
        order = self.order
        if attempt.number > 1:
            # A worker may have died after its result was in place: that one is not to be overwritten.
            there = _stamp(attempt.folder) != attempt.before
            order = replace(order, resume=True, overwrite=order.overwrite and not there)
        photo, folder = Path(os.path.abspath(attempt.photo)), Path(os.path.abspath(attempt.folder))
        self.running[self.task.remote(order, photo, folder, versions()["bozzetto"])] = attempt

    def _settle(self, ref: Any, attempt: _Attempt) -> Outcome[Reconstruction] | None:
        """What came of a task that has ended; None if its photo has to be tried again."""
        photo, folder, errors = attempt.photo, attempt.folder, self.ray.exceptions
        try:
            report: Report = self.ray.get(ref)
        except errors.RayTaskError as error:  # not a death: something that nobody has foreseen
            reason = f"{type(error.cause).__name__}: {error.cause}".strip().splitlines()[0]
            return Outcome(photo, folder, None, BozzettoError(f"The worker failed ({reason})."))
        except errors.RayError as error:
            reason = type(error).__name__
            if attempt.number >= ATTEMPTS:
                text = (
                    f"{ATTEMPTS} workers died over it (the last by {reason}); try it by itself, without --engine ray."
                )
                return Outcome(photo, folder, None, BozzettoError(text))
            self.onlooker.on_note(f"{photo}: its worker died ({reason}); another goes on with it.")
            self.waiting.appendleft(replace(attempt, number=attempt.number + 1))
            return None
        for note in report.notes:
            self.onlooker.on_note(f"{photo}: {note}")
        if report.error is not None:
            return Outcome(photo, folder, None, report.error)
        try:
            result = self._verified(report, folder)
        except BozzettoError as error:
            return Outcome(photo, folder, None, error)
        self.fresh += report.fresh or attempt.number > 1
        return Outcome(photo, folder, result)

    def _verified(self, report: Report, folder: Path) -> Reconstruction:
        """The result as it is seen from here. Raises OutputError if it is not what the worker says that it is."""
        assert report.settings is not None
        until = time.monotonic() + SEEN_WITHIN_S
        while not is_result_folder(folder) and time.monotonic() < until:
            time.sleep(0.2)
        result = find_finished(folder, report.settings)
        if result is None:
            raise OutputError(
                f"{report.where} has finished {folder}, which is not to be seen from here; name an --out that all "
                "machines share."
            )
        if result.provenance.generator_sha256 != self.generator:
            raise OutputError(
                f"{report.where} made {folder} with another generator file of that name; name a --gan that all "
                "machines share."
            )
        return result

    def _stop(self) -> None:
        """Cancel what waits, and let what runs put its state on disk."""
        if not self.running:
            return
        self.onlooker.on_note("Stopping: what runs is being kept.")
        for ref in self.running:
            self.ray.cancel(ref)
        self.ray.wait(list(self.running), num_returns=len(self.running), timeout=GRACE_S)
