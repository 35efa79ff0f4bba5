"""Plain JSON back to the records that `results.provenance.plain` made it of, every value checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal, TypeVar

Record = TypeVar("Record")


def rebuild(kind: type[Record], value: Any) -> Record:
    """The record of a kind that a JSON object describes.

    Raises:
        ValueError: a field is missing, unknown, or not of its type.
    """
    found = _value(kind, value, kind.__name__)
    assert isinstance(found, kind)
    return found


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [inside[0]] * len(value) if inside[1:] == (...,) else list(inside)
        if len(kinds) == len(value):
            return tuple(_value(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    elif origin in (typing.Union, types.UnionType):
        for one in inside:
            try:
                return _value(one, value, where)
            except ValueError:
                continue
    elif origin is Literal and isinstance(value, str | int) and value in inside:
        return value
    elif kind is type(None) and value is None:
        return None
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif kind in (bool, int, str) and type(value) is kind:
        return value
    raise ValueError(f"{where} cannot be {value!r}")


def _record(kind: Any, value: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(value, dict) or set(value) - set(hints):
        raise ValueError(f"{where} cannot be {value!r}")
    try:
        return kind(**{name: _value(hints[name], item, f"{where}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error
