"""Rendered heads as truth to score results against."""

from __future__ import annotations

from pathlib import Path

from bozzetto.bench.datasets import HeadTruth, decode_heads, read_arrays
from bozzetto.errors import InputError
from bozzetto.metrics.truth import Truth


def truth_of(heads: HeadTruth, index: int = 0) -> Truth:
    """What is known of one of the heads, in its photo's pose."""
    return Truth(heads.depth[index], heads.normal[index])


def read_head(path: Path) -> HeadTruth:
    """The head of a file that holds a single one, batch size 1. Raises InputError for any other file."""
    arrays = read_arrays(path)
    if arrays["depth"].ndim == 2:
        arrays = {name: values[None] for name, values in arrays.items()}
    if len(arrays["depth"]) != 1:
        raise InputError(f"{path} holds {len(arrays['depth'])} heads; name the file of a single one.")
    return decode_heads(arrays)


def is_head_file(path: Path) -> bool:
    """Whether a file holds rendered heads."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        read_arrays(path)
    except InputError:
        return False
    return True


def read_truth(path: Path) -> Truth:
    """The truth of a file that holds a single head. Raises InputError for any other file."""
    return truth_of(read_head(path))
