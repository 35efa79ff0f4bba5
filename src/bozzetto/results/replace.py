"""Putting a whole folder in place at once: built beside its target under a hidden name, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bozzetto.disk import sibling, siblings, sync
from bozzetto.errors import OutputError
from bozzetto.export.files import write_error


def _absolute(target: Path) -> Path:
    """The target with its parents resolved, but not the target itself, which may not be a link."""
    if target.name in ("", ".."):
        target = target.resolve()
    return target.parent.resolve() / target.name


def check_replaceable(target: Path, is_ours: Callable[[Path], bool]) -> None:
    """Refuse a target that is there and is neither an empty folder nor one of ours.

    Raises:
        OutputError: the target is a file, a link, somebody else's folder, or one that the program runs in.
    """
    if target.is_symlink():
        raise OutputError(f"{target} is a link and is not written through; name the folder it leads to.")
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputError(f"{target} is a file and no folder; choose another name.")
    if Path.cwd().is_relative_to(target.resolve()):
        raise OutputError(f"{target} is the folder you are in or one above it; name a folder of its own.")
    if any(target.iterdir()) and not is_ours(target):
        raise OutputError(f"{target} holds other files and is no result folder; choose a new or empty folder.")


def recover(target: Path, our_names: frozenset[str]) -> None:
    """Set right what a process left that was killed while it replaced `target`: the old folder, or others' files in it.

    Raises OutputError.
    """
    target = _absolute(target)
    for old in siblings(target, "old"):
        try:
            if not target.exists():
                os.rename(old, target)
            else:
                _carry_over(old, target, our_names)
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise write_error(target, error) from error


@contextmanager
def new_folder(target: Path, is_ours: Callable[[Path], bool], our_names: frozenset[str]) -> Iterator[Path]:
    """Hand out a fresh folder beside `target`; when the block ends well it takes the place of `target`.

    On any failure, an interrupt included, the fresh folder is removed and `target` stays as it was. Files in an old
    result folder whose names are not `our_names` belong to somebody else and move along into the new one.

    Args:
        target: the folder to make or replace; missing parents are made.
        is_ours: tells whether a folder that is not empty may be replaced.
        our_names: the file names that the writer owns.

    Raises:
        OutputError: the target may not be replaced, or the system refused to write.
    """
    try:
        target = _absolute(target)
        check_replaceable(target, is_ours)
        target.parent.mkdir(parents=True, exist_ok=True)
        recover(target, our_names)
        fresh = sibling(target, "part")
        try:
            fresh.mkdir()
            yield fresh
            sync(fresh)
            _swap(fresh, target, our_names)
            sync(target.parent)
        except BaseException as error:
            shutil.rmtree(fresh, ignore_errors=True)
            if isinstance(error, OutputError):  # speak of the folder that was asked for
                raise OutputError(str(error).replace(str(fresh), str(target))) from error
            raise
    except OSError as error:
        raise write_error(target, error) from error


def _swap(fresh: Path, target: Path, our_names: frozenset[str]) -> None:
    """Put `fresh` where `target` is. Foreign files are only ever in `target` or in the old folder, which are never
    deleted while they hold one; `fresh`, which the caller deletes on failure, holds none at any moment."""
    if not target.exists():
        os.rename(fresh, target)
        return
    old = sibling(target, "old")
    os.rename(target, old)
    try:
        os.rename(fresh, target)
    except BaseException:
        os.rename(old, target)
        raise
    moved: list[str] = []
    try:
        _carry_over(old, target, our_names, moved)
    except BaseException:
        for name in moved:
            os.rename(target / name, old / name)
        os.rename(target, fresh)
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _carry_over(old: Path, target: Path, our_names: frozenset[str], moved: list[str] | None = None) -> None:
    """Move what is not ours from the old folder to the new one; `moved` hears of each that has been."""
    for entry in sorted(old.iterdir()):
        if entry.name not in our_names or (entry.is_dir() and not entry.is_symlink()):
            os.rename(entry, target / entry.name)
            if moved is not None:
                moved.append(entry.name)
