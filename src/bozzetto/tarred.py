"""Photos in a tar, read one at a time into memory: nothing is unpacked, so nothing can land where it should not.

A photo in a tar has a path like one in a folder: `album.tar/summer/beach.jpg`.
"""

from __future__ import annotations

import os
import re
import tarfile
from functools import lru_cache
from pathlib import Path, PurePosixPath

from bozzetto.disk import UNREADABLE, require_plain
from bozzetto.errors import InputError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_MEMBER_BYTES = 256 * 2**20
MAX_MEMBERS = 200_000
# What some system does not take in a file's name: the photo's result folder is named after it.
_ODD = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')


def is_tar(path: Path) -> bool:
    """Whether a path is a tar by its name, and no folder of that name."""
    return path.name.lower().endswith(TAR_SUFFIXES) and not path.is_dir()


def tar_around(path: Path) -> Path | None:
    """The tar that a photo's path leads into; None for a photo that is a file of its own."""
    return next((folder for folder in path.parents if is_tar(folder) and os.path.isfile(folder)), None)


def members_of(tar: Path) -> list[Path]:
    """Paths of the files in a tar, each once; links, folders, devices and hidden files are passed over.

    Raises InputError if it is not there, no tar, cut off, or holds too much.
    """
    return list(_index(tar))


def read_member(path: Path) -> bytes:
    """The bytes of a photo in a tar. Raises InputError if it is not there, too large, or the tar is damaged."""
    tar = tar_around(path)
    member = None if tar is None else _index(tar).get(path)
    if tar is None or member is None:
        raise InputError(f"There is no image file {path}; check the path.")
    if member.size > MAX_MEMBER_BYTES:
        most = MAX_MEMBER_BYTES // 2**20
        raise InputError(f"{path} is larger than {most} MB; make it smaller first, or unpack the tar.")
    try:
        with tarfile.open(tar, "r:*") as opened:
            stream = opened.extractfile(member)
            assert stream is not None  # it is a regular file
            content = stream.read()
    except UNREADABLE as error:
        raise _damaged(tar, error) from error
    if len(content) != member.size:
        raise InputError(f"{tar} is cut off; copy it again.")
    if not content:
        raise InputError(f"{path} is empty.")
    return content


def _index(tar: Path) -> dict[Path, tarfile.TarInfo]:
    try:
        require_plain(tar)
        found = os.stat(tar)
        return _read_index(tar, found.st_mtime_ns, found.st_size)
    except UNREADABLE as error:
        raise _damaged(tar, error) from error


@lru_cache(maxsize=4)
def _read_index(tar: Path, mtime_ns: int, size: int) -> dict[Path, tarfile.TarInfo]:
    """Every file's place in the tar; of two with one name the later, as tar itself has it."""
    index: dict[Path, tarfile.TarInfo] = {}
    with tarfile.open(tar, "r:*") as opened:
        for count, member in enumerate(opened):
            if count >= MAX_MEMBERS:
                raise InputError(f"{tar} holds more than {MAX_MEMBERS} files; split it.")
            # An absolute name, or one that climbs, is as good as any: nothing is written under it.
            parts = [part for part in PurePosixPath(member.name).parts if part.strip("/") not in ("", "..")]
            if member.isreg() and parts and not parts[-1].startswith("."):
                index[tar.joinpath(*(_ODD.sub("_", part) for part in parts))] = member
    return index


def _damaged(tar: Path, error: Exception) -> InputError:
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{tar} cannot be read ({error.strerror or error}); check the path.")
    return InputError(f"{tar} is no whole tar file; copy or pack it again.")
