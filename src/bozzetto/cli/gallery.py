"""`bozzetto gallery RESULT...`: results as a static site."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bozzetto.cli.parse import parse
from bozzetto.gallery import find_results, write_site


@dataclass(frozen=True)
class Arguments:
    results: tyro.conf.Positional[tuple[Path, ...]]  # result folders, or folders of them
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("site")  # the site's folder
    title: str = "Gallery"  # the first page's heading


def gallery(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "gallery", "Results as a static site: a grid of objects, and a wipe between two.")
    first = write_site(
        find_results(args.results), args.out, args.title, tell=lambda folder: sys.stderr.write(f"{folder}\n")
    )
    sys.stdout.write(f"{first}\n")
    return 0


COMMANDS = {"gallery": gallery}
