"""Bad and odd files, made when they are needed: each a case with what it is, and whether it can be worked with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CANARY = "CANARY"  # a file of this name appears where code out of a file was run


@dataclass(frozen=True)
class Case:
    """One file or folder that somebody might hand in."""

    title: str  # what it is, for the table and the test's name
    name: str  # of the file; may hold whatever a file system takes
    make: Callable[[Path], None]  # writes it at a path
    good: bool = False  # whether it can be worked with

    def put(self, folder: Path) -> Path:
        """Make it in a folder of its own; returns its path."""
        place = folder / "in"
        place.mkdir(parents=True, exist_ok=True)
        path = place / self.name
        self.make(path)
        return path


def content(data: bytes) -> Callable[[Path], None]:
    """A maker of a file with these bytes."""

    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


def folder(path: Path) -> None:
    """An empty folder."""
    path.mkdir()


def loop(path: Path) -> None:
    """A link that leads to itself."""
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    """A link that leads nowhere."""
    path.symlink_to(path.parent / "nothing" / "there")


def endless(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    """A pipe that nobody writes to: opening it waits for ever."""
    os.mkfifo(path)


def absent(path: Path) -> None:
    """Nothing at all."""


def nowhere(name: str) -> list[Case]:
    """What is no file at all, whatever file was asked for."""
    return [
        Case("nothing", f"absent{name}", absent),
        Case("a folder", f"folder{name}", folder),
        Case("a link to itself", f"loop{name}", loop),
        Case("a link to nowhere", f"dangling{name}", dangling),
        Case("a pipe", f"pipe{name}", pipe),
        Case("an endless device", f"endless{name}", endless),
    ]


class Evil:
    """A value whose pickle, if it is obeyed, makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.canary),)


def titles(cases: Sequence[Case]) -> list[str]:
    """Names of the cases for pytest; each is there once."""
    found = [case.title for case in cases]
    assert len(set(found)) == len(found), sorted(t for t in found if found.count(t) > 1)
    return found
