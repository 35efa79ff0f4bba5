"""Runs commands in processes that are killed: at the n-th touch of the disk, or after a while. The kills are real.

The process is a fork of this one, so that it need not load everything again. What touches the disk below a folder is
counted: each write (half of it is written), fsync, rename, removal and new folder.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hostile_run import run

from bozzetto import keep

CALLS = ("replace", "rename", "fsync", "mkdir", "unlink", "rmdir", "ftruncate")
LIMIT_S = 120


class Counter:
    """Kills this process when it touches the disk for the n-th time."""

    def __init__(self, root: Path, at: int) -> None:
        self.root, self.at, self.count = str(root), at, 0
        for name in CALLS:
            self.wrap(os, name)
        self.wrap_write()

    def is_due(self, place: object) -> bool:
        name = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.fspath(place)  # type: ignore[call-overload]
        self.count += str(name).startswith(self.root)
        return str(name).startswith(self.root) and self.count == self.at

    def wrap(self, module: Any, name: str) -> None:
        real = getattr(module, name)

        def counted(place: Any, *args: Any, **kwargs: Any) -> Any:
            if self.is_due(place):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(place, *args, **kwargs)

        setattr(module, name, counted)

    def wrap_write(self) -> None:
        real = Path.write_bytes

        def counted(path: Path, data: bytes) -> int:
            if self.is_due(path):
                real(path, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(path, data)

        Path.write_bytes = counted  # type: ignore[method-assign, assignment]


def killed(argv: Sequence[str | Path], root: Path, at: int | None = None, after_s: float | None = None) -> int:
    """What became of a command in a process of its own: its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            keep.SAVE_EVERY_S, keep.SAVE_SHARE = 0.0, 1e9  # save after every iteration
            if at is not None:
                Counter(root, at)
            told = run(argv)
            code = told.code
            if code:
                (root.parent / "told.txt").open("a").write(told.err)
        finally:
            os._exit(code)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + LIMIT_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 98
        time.sleep(0.01)
