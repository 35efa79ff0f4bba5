"""`bozzetto export RESULT`: every picture, mesh and film of a result again, without networks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from bozzetto.cli.parse import parse
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.results import export_folder


@dataclass(frozen=True)
class Arguments:
    result: tyro.conf.Positional[Path]  # a result folder
    formats: tuple[str, ...] = DEFAULT_FORMATS  # also gif
    out: Path | None = None  # where to; the result folder itself if not given


def export(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "export", "Draw the pictures, meshes and films of a result again.")
    out = args.out or args.result
    for path in export_folder(args.result, out, args.formats):
        sys.stderr.write(f"{path}\n")
    sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"export": export}
