from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath

import pytest
import torch

from bozzetto.results.provenance import Provenance, plain


class Kind(str, Enum):
    FACE = "face"


@dataclass(frozen=True)
class Inner:
    steps: tuple[int, ...] = (3, 2)
    where: PurePosixPath = field(default_factory=lambda: PurePosixPath("a/b"))


def test_settings_become_plain_json() -> None:
    value = {
        "inner": Inner(),
        "kind": Kind.FACE,
        3: torch.tensor(2.5),
        "set": {"b", "a"},
        "bad": float("nan"),
        "on": True,
    }
    expected = {
        "inner": {"steps": [3, 2], "where": "a/b"},
        "kind": "face",
        "3": 2.5,
        "set": ["a", "b"],
        "bad": None,
        "on": True,
    }
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no plain JSON form"):
        plain({"a": object()})


def test_json_there_and_back_is_the_identity() -> None:
    record = Provenance(
        input_name="cat.jpg",
        config={"inner": Inner(), "rate": 1e-4},
        seed=3,
        generator_name="heads",
        generator_sha256="ab" * 32,
        seconds={"prior": 1.25, "lost": float("inf")},
        losses={"photometric": 0.1},
        metrics={"side": 0.02},
    )
    assert Provenance.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record
    assert record.seconds == {"prior": 1.25, "lost": None}
    assert set(record.versions) == {"python", "torch", "bozzetto"}
    assert Provenance.from_json(Provenance().to_json()) == Provenance()


@pytest.mark.parametrize("change", [{"seed": "x"}, {"config": []}, {"device": None}, {"extra": 1}])
def test_fields_of_the_wrong_kind_or_name_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="provenance"):
        Provenance.from_json({**Provenance().to_json(), **change})


def test_a_missing_field_is_refused() -> None:
    stored = Provenance().to_json()
    del stored["seed"]
    with pytest.raises(ValueError, match="provenance has the fields"):
        Provenance.from_json(stored)
