"""Runs the command line in this process on what is hostile, and says what may come of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from corpus import CANARY

from bozzetto.cli.main import execute

ADVICE_FROM = 20  # characters: a shorter sentence cannot say what to do
TIMEOUT_S = 180  # only what hangs; machines may be busy
FEW = [
    *("--albedo", "1", "--project", "1", "--factorise", "1", "--samples", "1", "--stages", "1"),
    *("--collect-batches", "1", "--prior.iterations", "1", "--prior.threshold", "0", "--turn.use", "False"),
    *("--inversion.steps", "1", "--inversion.start-samples", "16", "--nets.width", "0.25", "--device", "cpu"),
    *("--inversion.poor-db", "0", "--inversion.hopeless-db", "0"),  # random weights make no picture of a photo
]
PLAIN = ["--formats", "png", "--mask", "none"]


class TooSlow(Exception):
    """It hangs."""


@dataclass(frozen=True)
class Told:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.err.split("\n") if line.startswith("bozzetto: ")]


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Raise TooSlow after so many seconds."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(argv: Sequence[str | Path], seconds: int = TIMEOUT_S) -> Told:
    """One command, as the program `bozzetto` runs it."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="surrogateescape", newline="")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace", newline="")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), limit(seconds):
        try:
            code = execute([str(word) for word in argv])
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        out.flush()
        err.flush()
        texts = [stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err)]  # type: ignore[attr-defined]
    return Told(code, *texts)


def is_clear(told: Told, *codes: int) -> None:
    """Whether a refusal is an exit code and one line that says what to do."""
    assert told.code in codes, told
    assert len(told.complaints) == 1, told
    line = told.complaints[0]
    assert line.endswith("."), line
    assert len(line) > ADVICE_FROM, line
    assert "Traceback" not in told.err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", told.err), repr(told.err)
    assert told.err.strip("\n").split("\n")[-1] == line, told.err  # the last thing said, in one line


def snapshot(folder: Path) -> dict[str, str]:
    """Every file under a folder with what is in it."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).hex()
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file" if path.is_file() else "other"
        readable = kind == "file" and os.access(path, os.R_OK)
        found[name] = f"{kind} {hashlib.sha256(path.read_bytes()).hexdigest() if readable else ''}"
    return found


def nothing_half_done(folder: Path) -> None:
    """Nothing of a temporary name is left, and no code out of a file was run."""
    left = [path for path in folder.rglob("*") if re.search(r"\.(part|tmp|old)\b", path.name) and path.name[0] == "."]
    assert left == []
    assert list(folder.rglob(CANARY)) == []
