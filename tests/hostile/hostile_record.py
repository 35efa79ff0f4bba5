"""Collects what was injected and what came of it, for the table of docs/reliability.md."""

from __future__ import annotations

import json
import os
from pathlib import Path

ENV = "BOZZETTO_HOSTILE_RECORD"  # a file: one JSON line a fault


def record(fault: str, times: int, outcome: str = "resumed or began anew; the same bits; nothing half-written") -> None:
    """Note that a fault was injected so many times and every check after it held."""
    if path := os.environ.get(ENV):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"fault": fault, "times": times, "outcome": outcome}) + "\n")
