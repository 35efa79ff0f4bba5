"""Collects what was injected and what came of it; conftest.py prints it, and docs/reliability.md has it as a table."""

from __future__ import annotations

RECORDED: list[tuple[str, int, str]] = []  # fault, times, outcome


def record(fault: str, times: int, outcome: str = "resumed or began anew; the same bits; nothing half-written") -> None:
    """Note that a fault was injected so many times and every check after it held."""
    RECORDED.append((fault, times, outcome))
