"""Runs commands in processes that are killed, or that the disk refuses: at the n-th touch of it, or after a while.

The process is a fork of this one, so that it need not load everything again. What touches the disk below a folder is
counted: each write (half of it is written), fsync, rename, removal and new folder; kills and refusals are real for all
that comes after them.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile_run import Told, run

from bozzetto import keep, train_general
from bozzetto.method.collected import Collected

CALLS = ("replace", "rename", "fsync", "mkdir", "unlink", "rmdir", "ftruncate")
TAKE_NO_SPACE = ("unlink", "rmdir", "ftruncate")  # what a full disk still does
LIMIT_S = 120


class Counter:
    """Counts what touches the disk below a folder, and does something at the n-th touch."""

    def __init__(self, root: Path, at: int) -> None:
        self.root, self.at, self.count = str(root), at, 0
        for name in CALLS:
            self.wrap(os, name)
        self.wrap_write()
        self.wrap_samples()

    def is_below(self, place: object) -> bool:
        name = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.fspath(place)  # type: ignore[call-overload]
        return os.fsdecode(name).startswith(self.root)

    def is_due(self, place: object) -> bool:
        """Whether the touch is to go wrong; called once a touch."""
        below = self.is_below(place)
        self.count += below
        return below and self.count == self.at

    def fail(self, name: str) -> None:
        """What happens instead of the touch, or in the middle of it."""
        os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, module: Any, name: str) -> None:
        real = getattr(module, name)

        def counted(place: Any, *args: Any, **kwargs: Any) -> Any:
            if self.is_due(place):
                self.fail(name)
            return real(place, *args, **kwargs)

        setattr(module, name, counted)

    def wrap_write(self) -> None:
        real = Path.write_bytes

        def counted(path: Path, data: bytes) -> int:
            if self.is_due(path):
                real(path, data[: len(data) // 2])
                self.fail("write")
            return real(path, data)

        Path.write_bytes = counted  # type: ignore[method-assign, assignment]

    def wrap_samples(self) -> None:
        """Samples of a joint training go to a file that is mapped into memory: written halfway, too."""
        real = Collected.put

        def counted(store: Collected, photos: Any, batch: int, images: Any) -> None:
            if self.is_due(str(store.array.filename)):
                each = len(images) // len(photos)
                real(store, photos[: len(photos) // 2], batch, images[: each * (len(photos) // 2)])
                self.fail("samples")
            real(store, photos, batch, images)

        Collected.put = counted  # type: ignore[method-assign]


class Refuser(Counter):
    """A disk that refuses everything from the n-th touch on, for want of space or because it is read-only."""

    def __init__(self, root: Path, at: int, error: int, full: bool, note: Path) -> None:
        """full: what takes no space still goes. note: gets what lay below `root` at the first refusal."""
        self.error, self.full, self.note, self.has_refused = error, full, note, False
        super().__init__(root, at)
        self.wrap_opening()

    def is_due(self, place: object) -> bool:
        below = self.is_below(place)
        self.count += below
        return below and self.count >= self.at

    def fail(self, name: str) -> None:
        if name == "samples" or (self.full and name in TAKE_NO_SPACE):
            return  # samples have their room already
        if not self.has_refused:
            self.has_refused = True
            self.note.write_text(json.dumps(kept(Path(self.root))))
        raise OSError(self.error, os.strerror(self.error))

    def wrap_opening(self) -> None:
        """Files cannot be made either, whoever writes them. No touch of its own."""
        real, real_os = io.open, os.open

        def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            writes = isinstance(file, str | bytes | os.PathLike) and set(mode) & set("wax+")
            if writes and self.count >= self.at and self.is_below(file):
                self.fail("open")
            return real(file, mode, *args, **kwargs)

        def opened_os(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            writes = flags & (os.O_CREAT if self.full else os.O_CREAT | os.O_WRONLY | os.O_RDWR)
            if writes and self.count >= self.at and self.is_below(path):
                self.fail("open")
            return real_os(path, flags, *args, **kwargs)

        io.open = builtins.open = opened
        os.open = opened_os  # type: ignore[assignment]


def kept(root: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder that has its final name."""
    names = {path: path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    whole = {path: name for path, name in names.items() if not any(part.startswith(".") for part in name.parts)}
    return {str(name): hashlib.sha256(path.read_bytes()).hexdigest() for path, name in sorted(whole.items())}


@dataclass(frozen=True)
class Ended:
    """What became of a process."""

    code: int  # its exit code, or minus the signal that ended it
    told: Told | None = None  # None where it was killed


def forked(argv: Sequence[str | Path], prepare: Callable[[], object], after_s: float | None = None) -> Ended:
    """A command in a process of its own that first does `prepare`, and is killed after so many seconds."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.close(reads)
            keep.SAVE_EVERY_S, keep.SAVE_SHARE = 0.0, 1e9  # save after every iteration
            train_general.SAVE_EVERY_S = 0.0
            prepare()
            told = run(argv)
            code = told.code
            os.write(writes, json.dumps([told.code, told.out[-5000:], told.err[-5000:]]).encode())
        except BaseException:  # a finding: the test that reads this shows it
            os.write(writes, json.dumps([code, "", traceback.format_exc()[-5000:]]).encode())
        finally:
            os._exit(code)
    os.close(writes)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + LIMIT_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(reads, "rb") as file:
        said = file.read()
    return Ended(os.waitstatus_to_exitcode(status) if done else 98, Told(*json.loads(said)) if said else None)


def killed(argv: Sequence[str | Path], root: Path, at: int | None = None, after_s: float | None = None) -> Ended:
    """A command that is killed at a touch of the disk below `root`, or after a while."""
    return forked(argv, lambda: None if at is None else Counter(root, at), after_s)


def refused(
    argv: Sequence[str | Path], root: Path, at: int, error: int, full: bool
) -> tuple[Ended, dict[str, str] | None]:
    """A command to which the disk below `root` refuses everything from a touch on, and what lay there at that moment.

    No record says that nothing was refused.
    """
    note = root.parent / "note.json"
    note.unlink(missing_ok=True)
    ended = forked(argv, lambda: Refuser(root, at, error, full, note))
    return ended, json.loads(note.read_text()) if note.exists() else None
