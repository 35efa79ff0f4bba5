"""The rows that the table of heads may have, as data: what `--rows` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bozzetto.errors import InputError
from bozzetto.presets import PRESETS
from bozzetto.priors.registry import PRIORS

Kind = Literal["perfect", "spoilt", "constant", "average", "prior", "fit", "supervised", "general"]

PERFECT = "perfect"

# The truth with one thing wrong (`bench/spoilt.py`): row -> what, and how much of it.
_AMOUNTS = {
    "blurred": (0.0, 1.0, 2.0, 3.0, 5.0),  # sigma, pixels of 64 a side
    "tilted": (4.0, 8.0, 12.0),  # degrees
    "turned": (4.0, 8.0, 12.0),  # degrees
    "stretched": (0.6, 0.8, 1.25, 1.5),  # times as deep
}
_UNITS = {
    "blurred": "blurred by {} px of 64",
    "tilted": "its pitch off by +{} degrees",
    "turned": "its yaw off by +{} degrees",
    "stretched": "its relief {} times as deep",
}
FAULTS = {f"{way}:{amount:g}": (way, amount) for way, amounts in _AMOUNTS.items() for amount in amounts}


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str  # in --rows, in the JSON and in the table
    kind: Kind
    what: str  # in a few words
    detail: str = ""  # a prior's or a preset's name
    seeded: bool = False  # whether a seed changes it


_PLAIN = (
    Row(PERFECT, "perfect", "the truth itself: what the scores give a perfect prediction"),
    Row("constant", "constant", "depth 1 everywhere"),
    Row("average", "average", "mean depth of the training heads; looks at no photo"),
)
_PRIORS = tuple(
    Row(f"prior:{prior.name}", "prior", f"the prior {prior.name} on the photo's own outline, not fitted", prior.name)
    for prior in PRIORS.values()
    if prior.has_shape
)
_SPOILT = tuple(
    Row(name, "spoilt", f"the truth as a height field, {_UNITS[way].format(f'{amount:g}')}", name)
    for name, (way, amount) in FAULTS.items()
)
_FITS = tuple(Row(name, "fit", f"the preset {name}", name, seeded=True) for name in PRESETS if name != "refine")
_OTHERS = (
    Row("fit", "fit", "the preset of --preset with the flags of this command line", seeded=True),
    Row("supervised", "supervised", "the same depth network, trained with true depth", seeded=True),
    Row("general", "general", "the general model's preview: one pass, no latent, no fit"),
    Row("general+refine", "general", "the same, refined on each photo by the preset refine", "refine", seeded=True),
)

ROWS: dict[str, Row] = {row.name: row for row in (*_PLAIN, *_SPOILT, *_PRIORS, *_FITS, *_OTHERS)}


def find_rows(names: str) -> list[Row]:
    """The rows of a list like "constant,prior:ellipsoid,quick", each once, the perfect one always first.

    Raises:
        InputError: there is no such row, or none is named.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        raise InputError(f"No row is named; give --rows some of {', '.join(ROWS)}.")
    for name in wanted:
        if name not in ROWS:
            raise InputError(f"There is no row '{name}'; choose from {', '.join(ROWS)}.")
    return [ROWS[name] for name in dict.fromkeys((PERFECT, *wanted))]


def find_seeds(seeds: str) -> list[int]:
    """Seeds of a list like "0,1,2", each once. Raises InputError for anything else."""
    try:
        found = list(dict.fromkeys(int(seed) for seed in seeds.split(",")))
    except ValueError as error:
        raise InputError(
            f"--seeds cannot be '{seeds}'; give whole numbers with commas between, as in 0,1,2."
        ) from error
    if any(not 0 <= seed < 2**31 for seed in found):
        raise InputError(f"--seeds cannot be '{seeds}'; give whole numbers from 0 to 2^31 - 1.")
    return found
