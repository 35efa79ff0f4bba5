"""Looks up known holes in the versions of constraints.txt: part of `make check`.

    python .ci/audit.py [CONSTRAINTS]

The look-up is pip-audit's and needs a network. Where there is none, where the service does not answer or knows none of
the packages, or where pip-audit is not installed, one line says so and the exit code is 0. A hole that is known and
not accepted is told, and the exit code is 1. A finding is accepted by a line in .ci/audit-accepted.txt: its name, a
space, and the reason why it does no harm here; a line that accepts what is no longer found is told too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ACCEPTED = HERE / "audit-accepted.txt"
TIMEOUT_S = 180  # for all of it
MORE = "BOZZETTO_AUDIT_ARGS"  # more arguments for pip-audit, such as another service


class Hole(NamedTuple):
    """A known hole in a package."""

    package: str
    version: str
    names: frozenset[str]  # the advisory's own and those that others gave it
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(sorted(self.names))
        advice = f"take {' or '.join(self.fixed)}" if self.fixed else "no version without it is known"
        return f"{self.package} {self.version} has a known hole ({known}): {advice}."


def holes_in(report: Mapping[str, Any]) -> list[Hole]:
    """The holes of a report by pip-audit, in its JSON."""
    return [
        Hole(
            row["name"], row["version"], frozenset([hole["id"], *hole.get("aliases", ())]), tuple(hole["fix_versions"])
        )
        for row in report["dependencies"]
        for hole in row.get("vulns", ())
    ]


def read_accepted(text: str) -> dict[str, str]:
    """Name of a finding -> why it does no harm here. Raises ValueError for a line without a reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = dict(re.fullmatch(r"(\S+)\s*(.*)", line).groups() for line in lines)  # type: ignore[union-attr]
    for name, reason in rows.items():
        if not reason:
            raise ValueError(f"{ACCEPTED.name} accepts {name} without a reason; write one behind it.")
    return rows


def verdict(report: Mapping[str, Any], accepted: Mapping[str, str]) -> tuple[list[str], bool]:
    """What to say, and whether there is a hole that is not accepted."""
    rows = report["dependencies"]
    unknown = [row["name"] for row in rows if "skip_reason" in row]
    if len(unknown) == len(rows):
        return ["Note: the advisory service knows none of the packages; dependencies were not audited."], False
    holes = holes_in(report)
    open_ones = [hole for hole in holes if not hole.names & accepted.keys()]
    found = frozenset(name for hole in holes for name in hole.names)
    told = [str(hole) for hole in open_ones]
    gone = [name for name in accepted if name not in found]
    told += [f"Note: {ACCEPTED.name} accepts {name}, which is no longer found." for name in gone]
    audited = f"{len(rows) - len(unknown)} of {len(rows)} dependencies audited"
    told.append(f"{audited}, {len(open_ones)} known holes, {len(holes) - len(open_ones)} accepted.")
    if open_ones:
        told.append(
            f"Take other versions into constraints.txt, or accept what does no harm here in .ci/{ACCEPTED.name}."
        )
    return told, bool(open_ones)


def report_on(constraints: Path) -> dict[str, Any] | None:
    """pip-audit's report; None where it could not be made."""
    words = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps", "--disable-pip"]
    words += ["--format", "json", "--aliases", "on", "--progress-spinner", "off", "--timeout", "10"]
    try:
        # Its complaints name hosts and say nothing that helps; they are not shown.
        done = subprocess.run(
            [*words, *os.environ.get(MORE, "").split()], capture_output=True, text=True, timeout=TIMEOUT_S
        )
        return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None


def main() -> int:
    """Exit code 1 for a known hole that is not accepted, 2 for a list of accepted ones that cannot be read."""
    constraints = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "constraints.txt"
    if importlib.util.find_spec("pip_audit") is None:
        print("Note: pip-audit is not installed; dependencies were not audited.")
        return 0
    try:
        accepted = read_accepted(ACCEPTED.read_text("utf-8") if ACCEPTED.exists() else "")
    except ValueError as error:
        print(error)
        return 2
    report = report_on(constraints)
    if report is None:
        print("Note: no advisory service could be reached; dependencies were not audited.")
        return 0
    told, bad = verdict(report, accepted)
    print("\n".join(told))
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
