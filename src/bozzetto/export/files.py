"""Writing one file so that it is either there whole or not there at all, and saying in one sentence why it is not."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bozzetto.disk import clear, put_in_place
from bozzetto.disk import temporary as temporary_name
from bozzetto.errors import OutputError

_REASONS = {
    errno.ENOSPC: "no space is left on the disk; free some or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another place",
    errno.EFBIG: "the file would be larger than the system allows; raise the limit or choose another place",
    errno.EACCES: "permission was denied; choose a place you may write to",
    errno.EPERM: "permission was denied; choose a place you may write to",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EEXIST: "a part of that path is a file and not a folder; choose another place",
    errno.ENOTDIR: "a part of that path is a file and not a folder; choose another place",
    errno.EISDIR: "a folder of that name is in the way; move it or choose another name",
}


def write_error(path: Path, error: OSError) -> OutputError:
    """The one-sentence error for a write to `path` that the system refused."""
    reason = _REASONS.get(error.errno or 0, f"the system answered '{error.strerror or error}'")
    return OutputError(f"Cannot write {path}: {reason}.")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Hand out a temporary name beside `path` and move it onto `path`, on the disk, when the block ends well.

    On any failure, an interrupt included, the temporary file is removed and an existing `path` is left as it was.
    The suffix of the temporary name is that of `path`, since some writers choose the format by it.

    Raises:
        OutputError: the system refused to write; the message says why.
    """
    temporary = temporary_name(path)
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            put_in_place(temporary, path)
        except BaseException:
            clear([temporary])
            raise
    except OSError as error:
        raise write_error(path, error) from error


def check_writable(path: Path) -> None:
    """Raise OutputError if a file could not be written there; leaves nothing behind, no missing folder either."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # complains of a name that is too long
    except OSError as error:
        raise write_error(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in, where they are missing. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def write_bytes(path: Path, content: bytes | bytearray) -> Path:
    """Write `content` to `path`, whole or not at all; returns `path`. Raises OutputError."""
    with writing(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, content: str) -> Path:
    """Write `content` as UTF-8 with plain newlines, whole or not at all; returns `path`. Raises OutputError."""
    return write_bytes(path, content.encode("utf-8"))
