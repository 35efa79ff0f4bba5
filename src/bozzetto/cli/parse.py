"""From a typed record to flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import tyro

Record = TypeVar("Record")


def parse(kind: type[Record], argv: Sequence[str], command: str, description: str) -> Record:
    """The record that the arguments describe. Leaves with exit code 2 where they do not describe one."""
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(kind, prog=f"bozzetto {command}", description=description, args=list(argv), config=config)


def scan(argv: Sequence[str], flag: str) -> str | None:
    """The value of a flag, before the arguments as a whole are understood."""
    found = None
    for i, word in enumerate(argv):
        if word == flag and i + 1 < len(argv):
            found = argv[i + 1]
        elif word.startswith(f"{flag}="):
            found = word.partition("=")[2]
    return found
