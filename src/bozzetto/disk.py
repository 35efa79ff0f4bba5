"""Files on the disk: those handed in are plain ones, those written are whole.

A new file is written under a temporary name beside its own, reaches the disk, and is renamed. What a process that was
killed left under such a name is told by its form and cleared by the next that holds the lock.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import lzma
import os
import pickle
import re
import shutil
import stat
import struct
import tarfile
import tokenize
import uuid
import zipfile
import zlib
from pathlib import Path

from safetensors import SafetensorError

# What other libraries' readers raise at files that are damaged or made to mislead, beside OSError. NumPy
# reads its headers as Python text; struct, zipfile and Pillow trip over lengths that are not true.
DAMAGED: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError, MemoryError),
    *(EOFError, SyntaxError, tokenize.TokenError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, pickle.UnpicklingError, SafetensorError),
)
UNREADABLE: tuple[type[Exception], ...] = (OSError, *DAMAGED)

KEPT_NAME = 40  # characters of a name that its temporary names repeat; longer ones are shortened and told by a hash


def require_plain(path: Path) -> int:
    """Bytes of a plain file, links to one included.

    Opening a pipe would wait for ever, and a device never ends.

    Raises:
        OSError: there is none, or it is a folder, a pipe or a device; `strerror` says which.
    """
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device and no plain file", str(path))
    return found.st_size


def temporary(path: Path) -> Path:
    """A new hidden name beside `path`, with its suffix, since some writers choose the format by it."""
    return path.with_name(f".{_kept(path.stem)}.{uuid.uuid4().hex[:8]}.part{path.suffix}")


def sibling(folder: Path, kind: str) -> Path:
    """A new hidden name beside a folder: `part` for what is to replace it, `old` for what it is replaced by."""
    return folder.with_name(f".{_kept(folder.name)}.{uuid.uuid4().hex[:8]}.{kind}")


def siblings(folder: Path, kind: str) -> list[Path]:
    """What `sibling` named and is still there."""
    return _matching(folder.parent, rf"\.{re.escape(_kept(folder.name))}\.[0-9a-f]{{8}}\.{kind}")


def leftovers(path: Path) -> list[Path]:
    """What `temporary` named for a file and is still there."""
    return _matching(path.parent, rf"\.{re.escape(_kept(path.stem))}\.[0-9a-f]{{8}}\.part{re.escape(path.suffix)}")


def clear(paths: list[Path]) -> None:
    """Delete unfinished files and folders; what is gone or cannot be deleted stays as it is, without complaint."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def put_in_place(written: Path, path: Path) -> None:
    """Rename a file or folder that is written onto `path`, once its content has reached the disk.

    After a power cut there is either what was there before or all of what is new. Raises OSError.
    """
    sync(written)
    os.replace(written, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk; where folders cannot be, do nothing."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that know no such thing
            raise
    finally:
        os.close(handle)


def _kept(name: str) -> str:
    if len(name) <= KEPT_NAME:
        return name
    return f"{name[: KEPT_NAME - 9]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if re.fullmatch(pattern, path.name, re.DOTALL))
    except OSError:
        return []
