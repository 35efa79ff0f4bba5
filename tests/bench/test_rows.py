from __future__ import annotations

import pytest

from bozzetto.bench.rows import PERFECT, ROWS, find_rows, find_seeds
from bozzetto.errors import InputError
from bozzetto.presets import PRESETS
from bozzetto.priors.registry import PRIORS


def test_every_preset_and_every_prior_with_a_shape_is_a_row() -> None:
    assert set(PRESETS) - {"refine"} <= set(ROWS)
    assert ROWS["general+refine"].detail == "refine"  # which begins with a general model
    assert not ROWS["general"].seeded  # one pass draws nothing
    assert {f"prior:{name}" for name, prior in PRIORS.items() if prior.has_shape} <= set(ROWS)
    assert "prior:none" not in ROWS


def test_rows_come_once_each_in_their_order_after_the_perfect_one() -> None:
    assert [row.name for row in find_rows("quick, constant,quick,prior:box")] == [
        PERFECT,
        "quick",
        "constant",
        "prior:box",
    ]
    assert [row.name for row in find_rows("constant,perfect")] == [PERFECT, "constant"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("", "No row is named"),
        (" , ", "No row is named"),
        ("quick,pyramid", "no row 'pyramid'"),
    ],
)
def test_other_rows_are_refused(names: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_rows(names)


def test_seeds_come_once_each() -> None:
    assert find_seeds("0") == [0]
    assert find_seeds("2, 0,1,2") == [2, 0, 1]
    for wrong in ("", "a", "1;2", "-1", str(2**31)):
        with pytest.raises(InputError, match="--seeds"):
            find_seeds(wrong)
