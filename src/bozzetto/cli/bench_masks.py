"""`bozzetto bench masks`: segmenters against the true outlines of test heads."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bozzetto.bench.masks import MasksConfig, score_masks, table
from bozzetto.bench.steps import machine
from bozzetto.cli.parse import parse
from bozzetto.export.files import check_writable, write_text
from bozzetto.results.provenance import plain, versions


@dataclass(frozen=True)
class Arguments(MasksConfig):
    json: Path = Path("results/masks.json")


def bench_masks(argv: Sequence[str]) -> int:
    """Score segmenters, print a table and write the JSON."""
    args = parse(Arguments, argv, "bench masks", "Score segmenters' masks against the true outlines of test heads.")
    check_writable(args.json)
    values = {name: value for name, value in asdict(args).items() if name != "json"}
    found = score_masks(MasksConfig(**values))
    found |= {"settings": plain(values)}
    found |= {"machine": machine("cpu"), "versions": versions()}
    write_text(args.json, json.dumps(found, indent=2, allow_nan=False) + "\n")
    sys.stdout.write(table(found["rows"]) + f"{args.json}\n")
    return 0


COMMANDS = {"bench masks": bench_masks}
