"""The table as Markdown: depth, side faces and time; then all that is more than depth; then the published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bozzetto.bench.summary import SCORES, Score, wins
from bozzetto.metrics.report import PUBLISHED_SYNFACE

NONE = "–"

_EXPLAINED = """Each cell: mean ± standard deviation over heads (± standard deviation over seeds of the mean over all
heads). SIDE is x 100, MAD in degrees; lower is better. Both are taken on the whole true mask, in the photo's pose, and
are 0 for a perfect prediction. The published formulae on the published mask stand beside them, and the row `perfect`
shows what these give the truth itself. Side faces: true yaw beyond 25 degrees. Definitions: docs/metrics.md."""

_ELSEWHERE = """Published, for another head model (BFM "synface", 64 px, published formulae and mask). The data differ:
compare the order, not the digits."""


def number(value: float | None, digits: int) -> str:
    """A number with so many digits; a dash where there is none."""
    return NONE if value is None else f"{value:.{digits}f}"


def spread(mean: float | None, sd: float | None, digits: int) -> str:
    """Mean ± sd, as far as they are known."""
    return number(mean, digits) if sd is None else f"{number(mean, digits)} ± {number(sd, digits)}"


def cell(row: Mapping[str, Any], score: Score, digits: int | None = None) -> str:
    """Mean ± sd (± sd over seeds), with the score's digits if no other number is given."""
    digits = score.digits if digits is None else digits
    mean, sd, seed_sd = (row[f"{score.name}_{part}"] for part in ("mean", "sd", "seed_sd"))
    if mean is None:
        return NONE
    told = spread(mean, sd, digits)
    return told if seed_sd is None else f"{told} (± {number(seed_sd, digits)})"


def grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(rows + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def depth_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the first table."""
    shown = [score for score in SCORES if score.depth]
    sides = max((row["yaw25_n"] for row in rows), default=0)
    heads = ["row", "n", "seeds", *(s.title for s in shown)]
    heads += [f"side faces ({sides}): SIDE x100", "side faces: MAD, deg", "seconds a photo"]
    lines = [
        [
            f"`{row['name']}`",
            str(row["n"]),
            ", ".join(map(str, row["seeds"])) or NONE,
            *(cell(row, score) for score in shown),
            spread(row["yaw25_side_mean"], row["yaw25_side_sd"], 3),
            spread(row["yaw25_mad_mean"], row["yaw25_mad_sd"], 2),
            number(row["seconds_mean"], 1),
        ]
        for row in rows
    ]
    return heads, lines


def more_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the second table: the columns that any row has a number for."""
    shown = [s for s in SCORES if not s.depth and any(row[f"{s.name}_mean"] is not None for row in rows)]
    lines = [[f"`{row['name']}`", *(cell(row, score) for score in shown)] for row in rows]
    return ["row", *(s.title for s in shown)], lines


def markdown(content: Mapping[str, Any]) -> str:
    """The page that stands beside the table's JSON."""
    rows, about = content["rows"], content["test_heads"]
    parts = [
        "# Heads with true depth\n",
        f"{told_heads(about)} of {about['file']}, {rows[0]['size']} px, masks: {about['mask']}.\n",
        _EXPLAINED + "\n",
        grid(*depth_table(rows)),
        "## More than depth\n",
        grid(*more_table(rows)),
    ]
    beaten = [line for row in rows if row["seeds"] for line in beats(row, rows)]
    if beaten:
        parts += ["## Head by head\n", "\n".join(beaten) + "\n"]
    parts += ["## What the rows are\n", grid(["row", "what"], [[f"`{r['name']}`", r["what"]] for r in rows])]
    published = [[name, f"{side:.3f}", f"{mad:.2f}"] for name, (side, mad) in PUBLISHED_SYNFACE.items()]
    parts += [
        "## Beside the published numbers\n",
        _ELSEWHERE + "\n",
        grid(["method", "SIDE x100", "MAD, deg"], published),
    ]
    machine = ", ".join(f"{key} {value}" for key, value in content["machine"].items())
    versions = ", ".join(f"{key} {value}" for key, value in content["versions"].items())
    return "\n".join([*parts, f"Machine: {machine}. Versions: {versions}."]) + "\n"


def told_heads(about: Mapping[str, Any]) -> str:
    """Which heads, in a few words."""
    numbers = about["heads"]
    whole = numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 1
    told = f"Heads {numbers[0]} to {numbers[-1]}" if whole else f"Heads {', '.join(map(str, numbers))}"
    over = about["yaw_over_deg"]
    return told if not over else f"{told} (those turned by more than {over:g} degrees)"


def beats(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """On how many heads a row is better than each row that no seed changes."""
    told = []
    for other in rows:
        if not other["seeds"] and other["name"] != "perfect":
            won = wins(dict(row), dict(other))
            told.append(
                f"- `{row['name']}` beats `{other['name']}` on {won['side']} of {row['n']} heads in SIDE, "
                f"on {won['mad']} in MAD, on {won['both']} in both."
            )
    return told
