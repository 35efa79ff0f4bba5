"""`bozzetto gan list` and `bozzetto gan download`: generators by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from bozzetto.cli.parse import parse
from bozzetto.errors import InputError
from bozzetto.gan.checkpoint import read_metadata
from bozzetto.gan.registry import PUBLISHED, cached, download, find_published, recorded_sha256
from bozzetto.gan.zoo import ZOO, asset

DIGITS = 12  # of a hash, in the table


@dataclass(frozen=True)
class List:
    json: bool = False  # everything, as JSON


def show(argv: Sequence[str]) -> int:
    """Print the generators that are known by name."""
    args = parse(List, argv, "gan list", "Say which generators are known by name.")
    rows = known()
    if args.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    heads = ("name", "kind", "px", "category", "where", "SHA-256", "licence")
    table = [heads] + [tuple(_cell(row, head) for head in heads) for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(heads))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return 0


def known() -> list[dict[str, Any]]:
    """Everything that is known of the generators with names, built in first."""
    built_in = [
        {
            "name": row.name,
            "kind": "stylegan2",
            "px": max(int(size) for size in json.loads(read_metadata(asset(row))["channels"])),
            "category": row.category,
            "where": "built in",
            "SHA-256": row.sha256,
            "licence": row.licence,
            "url": None,
        }
        for row in ZOO
    ]
    return built_in + [
        {
            "name": row.name,
            "kind": row.kind,
            "px": row.resolution,
            "category": row.category,
            "where": "to download" if cached(row) is None else "here",
            "SHA-256": recorded_sha256(row),
            "licence": row.licence,
            "url": row.url,
        }
        for row in PUBLISHED
    ]


def _cell(row: dict[str, Any], head: str) -> str:
    if head == "SHA-256":
        return "at first use" if row[head] is None else row[head][:DIGITS]
    return str(row[head])


@dataclass(frozen=True)
class Download:
    name: tyro.conf.Positional[str]  # one of those that `bozzetto gan list` names


def fetch(argv: Sequence[str]) -> int:
    """Download a published generator to the cache; its path is the last line."""
    args = parse(Download, argv, "gan download", "Fetch a published generator to the cache folder.")
    row = find_published(args.name)
    if row is None:
        raise InputError(f"There is nothing to download for '{args.name}'; `bozzetto gan list` has the names.")
    console = Console(stderr=True)
    columns = (TextColumn(row.remote.name), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        path = download(row, on_bytes=lambda received: bar.update(task, completed=received))
    sys.stdout.write(f"{path}\n")
    return 0


COMMANDS = {"gan list": show, "gan download": fetch}
