"""One process at a time on a folder: a lock file that the system itself lets go of when its process ends, however."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from pathlib import Path

from bozzetto.errors import OutputError

LOCK = ".lock"
TRIES = 20  # to open a lock file that others are taking away
_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

_held: dict[Path, tuple[int, int]] = {}  # of this process: lock file -> thread, handle


def acquire(folder: Path) -> None:
    """Take the lock of a folder, which is there. The same thread may take it twice.

    Where the file system knows no locks the folder is taken to be free.

    Raises:
        OutputError: another process, or another thread of this one, works on the folder.
        OSError: the lock file cannot be made.
    """
    path = folder.resolve() / LOCK
    if path in _held:
        thread, handle = _held[path]
        if thread == threading.get_ident() and _is_still(path, handle):
            return
        if thread != threading.get_ident() and any(one.ident == thread for one in threading.enumerate()):
            raise OutputError(_refusal(folder, "another thread of this program"))
        release(folder)
    for _ in range(TRIES):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
        except OSError as error:
            if error.errno in _BUSY:
                who = _owner(handle)
                os.close(handle)
                raise OutputError(_refusal(folder, f"another process{who}")) from error
        if _is_still(path, handle):  # and not one that its holder has just taken away
            break
        os.close(handle)
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
    _held[path] = (threading.get_ident(), handle)


def release(folder: Path) -> None:
    """Let go of the folder and delete the lock file; nothing where it is not held."""
    path = folder.resolve() / LOCK
    _, handle = _held.pop(path, (0, -1))
    if handle < 0:
        return
    if sys.platform == "win32":  # an open file cannot be deleted there
        os.close(handle)
    if sys.platform == "win32" or _is_still(path, handle):
        with contextlib.suppress(OSError):
            path.unlink()
    if sys.platform != "win32":
        os.close(handle)


def _refusal(folder: Path, who: str) -> str:
    return f"{folder} is being worked on by {who}; wait until it has ended, or use another --out."


def _owner(handle: int) -> str:
    with contextlib.suppress(OSError):
        text = os.pread(handle, 20, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
        return f" ({text})" if text.isdigit() else ""
    return ""


def _is_still(path: Path, handle: int) -> bool:
    """Whether the lock file of that name is the one that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except OSError:
        return False


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _forget() -> None:
    """A forked child shares its parent's lock without being the one that works."""
    for _, handle in _held.values():
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
