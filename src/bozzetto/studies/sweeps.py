"""What studies of one number share."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bozzetto.studies.compare import by_photo
from bozzetto.studies.desk import Piece


def points(pieces: Sequence[Piece], arms: Mapping[int, str], key: str) -> list[tuple[float, float, float]]:
    """(number, mean, standard deviation over photos) of a score, for arms by their number; arms without it are left
    out."""
    found = []
    for number, arm in arms.items():
        values = list(by_photo(pieces, arm, key).values())
        if values:
            found.append(
                (float(number), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)
            )
    return found


def worst(values: Mapping[str, float], share: float = 0.25) -> float:
    """Mean of the worst (highest) quarter, one photo at least."""
    ranked = sorted(values.values(), reverse=True)
    return statistics.fmean(ranked[: max(1, round(share * len(ranked)))])
