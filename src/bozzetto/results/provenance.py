"""Where a result comes from: what was run, on what, with which generator, and how it went. Plain JSON in and out."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias

import torch

import bozzetto

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None


def plain(value: Any) -> Json:
    """Settings and numbers as JSON values: records to objects, tuples to lists, paths to strings, inf and NaN to null.

    Raises:
        TypeError: a value has no plain JSON form.
    """
    if value is None or isinstance(value, bool | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return value.as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if hasattr(value, "item"):  # a zero-dimensional tensor or NumPy scalar
        return plain(value.item())
    raise TypeError(f"{type(value).__name__} has no plain JSON form")


def versions() -> dict[str, str]:
    """Versions of what computed the result."""
    return {"python": platform.python_version(), "torch": torch.__version__, "bozzetto": bozzetto.__version__}


@dataclass(frozen=True)
class Provenance:
    """Every field is plain JSON; numbers that are not finite become null (see `plain`)."""

    input_name: str = ""  # file name of the photo, without its folder
    config: Mapping[str, Any] = field(default_factory=dict)  # the whole configuration
    seed: int | None = None
    generator_name: str = ""
    generator_sha256: str = ""
    device: str = "cpu"
    seconds: Mapping[str, Any] = field(default_factory=dict)  # wall clock of each phase
    losses: Mapping[str, Any] = field(default_factory=dict)  # the last value of each loss term
    metrics: Mapping[str, Any] | None = None  # against a known truth, where there is one
    versions: Mapping[str, str] = field(default_factory=versions)

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            object.__setattr__(self, one.name, plain(getattr(self, one.name)))

    def to_json(self) -> dict[str, Json]:
        """The record as a JSON object."""
        return {one.name: plain(getattr(self, one.name)) for one in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Provenance:
        """The record of a JSON object that `to_json` made.

        Raises:
            ValueError: a field is missing, unknown, or not of its kind.
        """
        kinds: dict[str, type | tuple[type, ...]] = {
            **dict.fromkeys(("input_name", "generator_name", "generator_sha256", "device"), str),
            **dict.fromkeys(("config", "seconds", "losses", "versions"), dict),
            "seed": (int, type(None)),
            "metrics": (dict, type(None)),
        }
        if set(stored) != set(kinds):
            raise ValueError(f"provenance has the fields {sorted(stored)} instead of {sorted(kinds)}")
        for name, kind in kinds.items():
            if not isinstance(stored[name], kind):
                raise ValueError(f"provenance field '{name}' is a {type(stored[name]).__name__}")
        return cls(**stored)
