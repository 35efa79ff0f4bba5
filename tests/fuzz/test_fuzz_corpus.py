"""What the fuzzer found, loaded again: a generator or one sentence, no code run, memory and time bounded."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import fuzz_loaders
import fuzz_mutate
import fuzz_seeds
import pytest

HERE = Path(__file__).parent
CORPUS = sorted(path for path in (HERE / "corpus").iterdir() if path.is_file())
SOURCE = HERE.parents[1] / "src"


@cache
def replayed(paths: tuple[Path, ...]) -> dict[str, dict[str, Any]]:
    """What `fuzz_replay` says of files, by their names; a file that ends its process is missing."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, HERE / "fuzz_replay.py", *paths]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    rows = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    assert told.returncode == 0, told.stderr[-2000:]
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_what_was_found_is_a_generator_or_one_sentence(path: Path) -> None:
    outcome = replayed(tuple(CORPUS))[path.name]
    assert outcome["finding"] == ""
    assert outcome["loaded"] != bool(outcome["sentence"])


def test_the_corpus_is_small() -> None:
    assert len(CORPUS) > 10
    assert sum(path.stat().st_size for path in CORPUS) < 1_000_000


def put(folder: Path, files: Iterable[tuple[str, bytes]]) -> tuple[Path, ...]:
    for name, data in files:
        (folder / name).write_bytes(data)
    return tuple(sorted(folder.iterdir()))


def test_what_the_fuzzer_begins_with_is_whole(tmp_path: Path) -> None:
    seeds = fuzz_seeds.seeds()
    found = replayed(put(tmp_path, seeds.items()))
    assert len(seeds) == len(found)
    assert all(row["loaded"] for row in found.values())


def test_the_guard_sees_what_it_is_to_see(tmp_path: Path) -> None:
    """Code that runs, files that are written and memory that is taken are findings, whatever else comes of them."""
    program = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
import os, pickle, subprocess
from pathlib import Path
from fuzz_guard import Watch, outcome_of
from bozzetto.errors import CheckpointError
path, watch, kept = Path({str(tmp_path / "x")!r}), Watch(), []
def refuses(path): raise CheckpointError("No.")
def many_lines(path): raise CheckpointError("No\\nyes.")
def calls(path): subprocess.run(["true"])
def writes(path): open(path.with_name("y"), "w").close()
def imports(path): import antigravity
def evaluates(path): eval("1 + 1")
def fills(path): kept.append(b"1" * 200_000_000)
def unpickles(path): pickle.loads(path.read_bytes())
def passes(path): pass
for load in (passes, refuses, many_lines, calls, writes, evaluates, fills, unpickles):
    print(load.__name__, bool(outcome_of(path, watch, load).finding))
"""
    (tmp_path / "x").write_bytes(pickle.dumps(random.Random))
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    rows = dict(line.split() for line in told.stdout.splitlines())
    assert rows.pop("passes") == rows.pop("refuses") == "False", told
    assert list(rows) == ["many_lines", "calls", "writes", "evaluates", "fills", "unpickles"], told
    assert set(rows.values()) == {"True"}, told


def test_changes_leave_files_nearly_whole() -> None:
    """Of a changed file most operations, entries or headers are still those of the whole one, and it is no copy."""
    rng = random.Random(3)
    for name, data in fuzz_seeds.seeds().items():
        changed = [fuzz_mutate.mutated(data, rng, anywhere=0) for _ in range(8)]
        assert sum(one != data for one in changed) >= 5, name
        assert sorted(abs(len(one) - len(data)) for one in changed)[4] < len(data) / 2, name


def test_without_the_fuzzer_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "atheris.py").write_text("raise ImportError\n")
    words = [sys.executable, HERE / "fuzz_loaders.py", "--out", tmp_path / "runs"]
    told = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, fuzz_loaders.MISSING + "\n")
    assert not (tmp_path / "runs").exists()
