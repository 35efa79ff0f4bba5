"""One server to a folder: a lock that the system takes back when its process ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bozzetto.errors import OutputError
from bozzetto.export.files import make_folder, write_error

NAME = ".server"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder for as long as the block lasts.

    Raises:
        OutputError: another process holds it, or it cannot be written to.
    """
    make_folder(folder)
    path = folder / NAME
    try:
        held = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        try:
            _lock(held)
        except OSError as error:
            raise OutputError(f"{folder} is served by another process already; use another --results.") from error
        yield
    finally:
        os.close(held)  # and with it the lock


if os.name == "nt":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
