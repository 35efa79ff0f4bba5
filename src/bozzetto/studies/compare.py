"""From single fits to a study's tables and verdicts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bozzetto.studies.desk import Arm, Desk, Piece
from bozzetto.studies.job import Claim, Table, Verdict

TRUTH_COLUMNS = (
    ("side_x100", "SIDE x100", 2),
    ("mad_depth_deg", "MAD, deg", 1),
    ("canonical_mad_depth_deg", "frontal MAD, deg", 1),
    ("view_error_deg", "view error, deg", 1),
)
FREE_COLUMNS = (("roughness", "roughness", 4), ("range", "depth range", 4), ("photo_psnr_db", "photo PSNR, dB", 1))
# Student's t, two-sided 95 %, by degrees of freedom; beyond the table the last one serves.
T95 = (
    math.inf,
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
)
LEAST = 3  # photos that a verdict needs


def columns_of(desk: Desk) -> tuple[tuple[str, str, int], ...]:
    """Scores that this study's photos allow: key, title, digits."""
    return (*TRUTH_COLUMNS, *FREE_COLUMNS) if desk.has_truth else FREE_COLUMNS


def by_photo(pieces: Sequence[Piece], arm: str, key: str) -> dict[str, float]:
    """Of each photo the mean over seeds; photos without the score are left out."""
    values: dict[str, list[float]] = {}
    for piece in pieces:
        value = piece.scores.get(key, math.nan) if key != "seconds" else piece.seconds
        if piece.arm == arm and math.isfinite(value):
            values.setdefault(piece.subject.name, []).append(value)
    return {name: statistics.fmean(found) for name, found in values.items()}


def seed_sd(pieces: Sequence[Piece], arm: str, key: str) -> float | None:
    """Mean over photos of the standard deviation (n - 1) over seeds; None where there is one seed."""
    values: dict[str, list[float]] = {}
    for piece in pieces:
        if piece.arm == arm and math.isfinite(piece.scores.get(key, math.nan)):
            values.setdefault(piece.subject.name, []).append(piece.scores[key])
    spread = [statistics.stdev(found) for found in values.values() if len(found) > 1]
    return statistics.fmean(spread) if spread else None


def cell(values: Sequence[float], digits: int) -> str | None:
    """Mean ± standard deviation (n - 1) over photos."""
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return None
    text = f"{statistics.fmean(known):.{digits}f}"
    return f"{text} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else text


def arms_table(desk: Desk, arms: Sequence[Arm], pieces: Sequence[Piece], title: str = "") -> Table:
    """A line an arm: mean ± sd over photos of each score, the spread over seeds, and seconds."""
    columns = columns_of(desk)
    seeded = len({piece.seed for piece in pieces}) > 1
    lead, lead_title, digits = columns[1] if desk.has_truth else columns[0]
    rows = []
    for arm in arms:
        row: list[str | float | None] = [arm.name, arm.what]
        row += [cell(list(by_photo(pieces, arm.name, key).values()), d) for key, _, d in columns]
        if seeded:
            sd = seed_sd(pieces, arm.name, lead)
            row.append(None if sd is None else f"{sd:.{digits}f}")
        row.append(cell(list(by_photo(pieces, arm.name, "seconds").values()), 1))
        rows.append(tuple(row))
    titles = [name for _, name, _ in columns]
    over_seeds = [f"sd over seeds of {lead_title}"] if seeded else []
    photos = len({piece.subject.name for piece in pieces})
    seeds = sorted({piece.seed for piece in pieces})
    note = f"Mean ± standard deviation over {photos} photos; seeds {', '.join(map(str, seeds))}."
    return Table(title, ("", "what", *titles, *over_seeds, "s a photo"), tuple(rows), note)


@dataclass(frozen=True)
class Difference:
    """A paired difference, second minus first, over the photos that both have."""

    mean: float
    error: float  # standard error; NaN for fewer than two photos
    n: int

    @property
    def is_decided(self) -> bool:
        """Whether 0 lies outside the 95 % interval of Student's t, over three photos at least."""
        return self.n >= LEAST and abs(self.mean) > self.half_width

    @property
    def half_width(self) -> float:
        """Half the 95 % interval of the mean; infinite for fewer than two photos."""
        return T95[min(self.n - 1, len(T95) - 1)] * self.error if self.n > 1 else math.inf

    def told(self, unit: str = "", digits: int = 2) -> str:
        if self.n == 0:
            return "no photo here can tell"
        spread = f" ± {self.error:.{digits}f}" if math.isfinite(self.error) else ""
        return f"{self.mean:+.{digits}f}{spread}{unit} (n = {self.n})"


def difference(first: dict[str, float], second: dict[str, float]) -> Difference:
    """Paired over the names that both have."""
    steps = [second[name] - first[name] for name in first.keys() & second.keys()]
    if not steps:
        return Difference(math.nan, math.nan, 0)
    error = statistics.stdev(steps) / math.sqrt(len(steps)) if len(steps) > 1 else math.nan
    return Difference(statistics.fmean(steps), error, len(steps))


def verdict_of(change: Difference, expected: int) -> Verdict:
    """What a difference says of a claim that it is positive (expected 1) or negative (-1)."""
    if change.n == 0:
        return "not tested"
    if not change.is_decided:
        return "undecided"
    return "holds" if change.mean * expected > 0 else "does not hold"


def no_worse(change: Difference, margin: float) -> Verdict:
    """What a difference of errors says of a claim that the second is no worse than the first by more than `margin`:
    it holds where the upper end of the mean's 95 % interval stays below the margin."""
    if change.n == 0:
        return "not tested"
    if change.n >= LEAST and change.mean + change.half_width < margin:
        return "holds"
    return "does not hold" if change.is_decided and change.mean > 0 else "undecided"


@dataclass(frozen=True)
class Lead:
    """The score that a study goes by. Only an error against the truth can carry a verdict."""

    key: str
    title: str  # with its unit, for axes and tables
    unit: str
    digits: int
    judges: bool

    def told(self, change: Difference) -> str:
        """A difference of this score in words."""
        return change.told(self.unit, self.digits) if self.judges else f"{self.key} {change.told('', self.digits)}"

    def verdict(self, found: Verdict) -> Verdict:
        """A verdict from this score; none where it says nothing of quality."""
        return found if self.judges else "not tested"


def lead_of(desk: Desk) -> Lead:
    """MAD where the truth is known; else roughness, which is told and judges nothing: smooth may be wrong."""
    if desk.has_truth:
        return Lead("mad_depth_deg", "MAD, deg", " deg", 2, True)
    return Lead("roughness", "roughness", "", 4, False)


def claim_lower(text: str, source: str, pieces: Sequence[Piece], better: str, worse: str, lead: Lead) -> Claim:
    """A claim that one arm has a lower (better) error than another."""
    change = difference(by_photo(pieces, worse, lead.key), by_photo(pieces, better, lead.key))
    return Claim(text, source, lead.verdict(verdict_of(change, -1)), f"{better} minus {worse}: {lead.told(change)}")


def records(pieces: Sequence[Piece]) -> tuple[dict[str, Any], ...]:
    """The single fits as JSON has them."""
    return tuple(
        {
            "arm": piece.arm,
            "photo": piece.subject.name,
            "yaw_deg": piece.subject.yaw_deg,
            "seed": piece.seed,
            "seconds": round(piece.seconds, 2),
            **{name: round(value, 6) for name, value in piece.scores.items()},
        }
        for piece in pieces
    )
