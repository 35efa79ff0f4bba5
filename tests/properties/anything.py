"""Values and bytes of any kind, and what a reader may make of them: a value, or one sentence."""

from __future__ import annotations

import hashlib
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fuzz_guard import peak_kb, reset_peak_kb
from fuzz_mutate import mutated
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bozzetto.errors import BozzettoError

Value = TypeVar("Value")

MEMORY_MB = 96  # that a reader may take for a small file


def examples(count: int) -> settings:
    """So many of them, the same ones every time."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


def value_or_sentence(
    read: Callable[[], Value], folder: Path | None = None, memory_mb: int = MEMORY_MB
) -> Value | None:
    """What a reader reads; None where it refuses. Anything else it does is a failure: another exception, a complaint
    that is not one line, a file written or changed, much memory taken."""
    before, peak = _files(folder), reset_peak_kb()
    value = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = read()
        except BozzettoError as error:
            told = str(error)
            assert told.endswith("."), told
            assert "\n" not in told, told
            assert len(told) < 1000, told
    assert peak_kb() - peak < memory_mb * 1024
    assert _files(folder) == before
    return value


def _files(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


# -- JSON -------------------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from((0, 1, -1, 2**31, 2**63, 10**400, -(10**400), float("nan"), float("inf"), 1e308)),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8))
JSONS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def deep(levels: int, mapping: bool) -> Any:
    """A list in a list in a list ..., or an object of them."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if mapping else [value]
    return value


ODD = st.one_of(JSONS, st.builds(deep, st.integers(50, 900), st.booleans()))


@st.composite
def nearly(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON value that is whole but for one or two things in it: another value, one too few, one too many."""
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        value = _changed(draw, value)
    return value


def _changed(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {**value, draw(st.text(max_size=4)): draw(ODD)}
        return {**value, key: _changed(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(value) - 1))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return [*value[:at], value[at], *value[at:]]
        return [*value[:at], _changed(draw, value[at]), *value[at + 1 :]]
    return draw(ODD)


# -- bytes ------------------------------------------------------------------------------------------------------------


def damaged(*whole: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, and files that are whole but for a few changes: cut, repeated, overwritten; of a zip, a pickle or a
    safetensors file also changes inside that leave lengths and checksums right."""
    return st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda data, seed, times: _times(data, random.Random(seed), times),
            st.sampled_from(whole),
            st.integers(0, 2**32),
            st.integers(1, 3),
        ),
    )


def _times(data: bytes, rng: random.Random, times: int) -> bytes:
    for _ in range(times):
        data = mutated(data, rng, anywhere=0.4)
    return data
