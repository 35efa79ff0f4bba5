"""Which photos are meant: files, folders, tars, and text files that list any of these."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from bozzetto.disk import require_plain
from bozzetto.errors import InputError
from bozzetto.photo import SUFFIXES, check_readable
from bozzetto.tarred import is_tar, members_of

LIST_SUFFIX = ".txt"
MAX_LIST_BYTES = 64 * 2**20

Item = TypeVar("Item")


def list_photos(paths: Iterable[str | Path]) -> list[Path]:
    """Photos named one by one, or by their folder, tar or list; each once, in natural order (img2 before img10).

    A folder stands for the image files directly in it, a tar for all in it, told by their suffix; hidden files are
    passed over, and so are folders and links that have an image's name. A text file (.txt) names a photo, folder or tar
    a line, from its own folder on; blank lines and those that begin with # are passed over. Its photos are not looked
    for yet. A file named by itself may have any other suffix.

    Raises:
        InputError: a path that is none of these, a folder, tar or list without photos, or no path at all.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        for photo in _listed(path) if is_list(path) else _meant(path, True):
            found.setdefault(os.path.abspath(photo), photo)
    if not found:
        raise InputError("No photo is given; name image files or a folder of them.")
    return sorted(found.values(), key=natural_key)


def share_of(items: Sequence[Item], share: str) -> list[Item]:
    """Every n-th of the items from the i-th on, for a share "i/n"; all n shares together hold each item once.

    Raises:
        InputError: the share is not of that form, or not from 1/n to n/n.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", share)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--share cannot be '{share}'; give which of how many, as in 1/16 up to 16/16.")
    return list(items[int(found[1]) - 1 :: int(found[2])])


def is_one_photo(path: Path) -> bool:
    """Whether a path is a photo's own, and not a folder, tar or list, even of a single one."""
    return not (path.is_dir() or is_tar(path) or is_list(path))


def is_list(path: Path) -> bool:
    """Whether a path is a list of photos by its name."""
    return path.suffix.lower() == LIST_SUFFIX and not path.is_dir()


def _meant(path: Path, check: bool) -> list[Path]:
    """Photos that a path stands for; check: whether a photo has to be there."""
    if path.is_dir():
        inside = photos_in(path)
    elif is_tar(path):
        inside = [member for member in members_of(path) if member.suffix.lower() in SUFFIXES]
    else:
        if check:
            check_readable(path)
        return [path]
    if not inside:
        kind = "folder" if path.is_dir() else "tar"
        raise InputError(f"There are no photos in the {kind} {path} ({', '.join(SUFFIXES)}).")
    return inside


def _listed(path: Path) -> list[Path]:
    """Photos that a text file lists. Raises InputError if it cannot be read or names none."""
    try:
        if require_plain(path) > MAX_LIST_BYTES:
            raise InputError(f"{path} is too large for a list of photos; split it.")
        text = path.read_text("utf-8-sig", "surrogateescape")  # names need not be UTF-8
    except OSError as error:
        raise InputError(f"The list {path} cannot be read ({error.strerror}); check the path.") from error
    if "\0" in text:
        raise InputError(f"{path} is no text file; a list of photos names one a line.")
    found: list[Path] = []
    for line in re.split(r"\r?\n|\r", text):  # and nowhere else: names may hold rarer ends of lines
        name = line.strip(" \t")
        if name and not name.startswith("#"):
            photo = path.parent / name
            if is_list(photo):
                raise InputError(f"The list {path} names another list, {name}; name photos, folders or tars in it.")
            found += _meant(photo, False)
    if not found:
        raise InputError(f"The list {path} names no photos; write one a line.")
    return found


def photos_in(folder: Path) -> list[Path]:
    """Image files directly in a folder. Raises InputError if the folder cannot be listed."""
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read ({error.strerror}); check its permissions.") from error
    return [e for e in entries if e.suffix.lower() in SUFFIXES and not e.name.startswith(".") and os.path.isfile(e)]


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorting key that compares runs of digits as numbers and letters without case; the path itself breaks ties."""
    pieces = re.split(r"([0-9]+)", str(path).casefold())
    return tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in pieces if p), str(path)
