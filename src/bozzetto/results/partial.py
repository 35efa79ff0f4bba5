"""The working folder `<out>.partial` of a run that is not finished: what it takes to go on where it stopped.

| file | what |
|---|---|
| state.json | the settings the run belongs to, and how far it is |
| mask.safetensors, inversion.safetensors | results of what comes before the fit |
| state.safetensors | networks, optimiser, random generator, samples, position in the schedule: one file, always whole |
| log.jsonl | one line an iteration |

Every file is written under another name and renamed. Reading runs no code. While a process works on the folder it
holds a lock in it (`.lock`), which the system lets go of when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import safe_open
from torch import Tensor

from bozzetto.disk import UNREADABLE, clear
from bozzetto.errors import OutputError
from bozzetto.export.files import write_error, write_text, writing
from bozzetto.lock import LOCK, acquire, release
from bozzetto.results.packed import packed
from bozzetto.results.provenance import plain

KIND = "bozzetto-partial"
RECORD, STATE, LOG = "state.json", "state.safetensors", "log.jsonl"
OUR_NAMES = frozenset({RECORD, STATE, LOG, "mask.safetensors", "inversion.safetensors", "collected.f16"})
OUR_CHUNKS = re.compile(r"[a-z]+_\d{6}\.safetensors")  # ingredients of many photos


def partial_folder(out: Path) -> Path:
    """Where the unfinished run of the result folder `out` is kept: beside it."""
    return out.with_name(out.name + ".partial")


@dataclass(frozen=True)
class Partial:
    """A working folder that belongs to one photo and its settings. Made by `open_partial`."""

    folder: Path
    settings: Mapping[str, Any]

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
        """Write tensors and a JSON object beside them, whole or not at all. Raises OutputError."""
        path = self.folder / name
        metadata = {"facts": json.dumps(plain(facts or {}), allow_nan=False)}
        with writing(path) as temporary:
            temporary.write_bytes(packed(tensors, metadata))

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What `save` wrote under a name, or None. Raises OutputError for a damaged file."""
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
            # From memory: a file that is mapped could not be replaced on every system.
            return safetensors.torch.load(path.read_bytes()), facts
        except UNREADABLE as error:
            raise OutputError(f"{path} is damaged; delete {self.folder} or start over with --overwrite.") from error

    def save_log(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the whole log anew. Raises OutputError."""
        text = "".join(json.dumps(plain(line), allow_nan=False) + "\n" for line in lines)
        write_text(self.folder / LOG, text)

    def load_log(self, until: int) -> list[dict[str, Any]]:
        """The lines of the first `until` iterations of the fit; later ones belong to no state that was kept."""
        path = self.folder / LOG
        try:
            lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
            return [line for line in lines if line["done"] <= until]
        except UNREADABLE as error:
            raise OutputError(f"{path} is damaged; delete {self.folder} or start over with --overwrite.") from error

    def save_progress(self, progress: Mapping[str, Any]) -> None:
        """Write the settings and how far the run is. Raises OutputError."""
        record = {"kind": KIND, "settings": self.settings, "progress": plain(progress)}
        write_text(self.folder / RECORD, json.dumps(record, indent=2, allow_nan=False) + "\n")

    def remove(self) -> None:
        """Delete what is ours, and the folder if nothing else is in it."""
        _clear(self.folder)
        self.release()

    def release(self) -> None:
        """Let others work on the folder; what is in it stays."""
        release(self.folder)
        with contextlib.suppress(OSError):  # others' files are in it, or it is gone
            self.folder.rmdir()


@contextmanager
def held(partial: Partial | None) -> Iterator[None]:
    """Let go of a working folder at the end of the block, whatever happens in it.

    Where the disk refuses to be written to, OutputError says what is kept.
    """
    try:
        yield
    except OutputError as error:
        if partial is None or not isinstance(error.__cause__, OSError) or not (partial.folder / RECORD).is_file():
            raise
        kept = f"{partial.folder} keeps what is done; go on with --resume"
        raise OutputError(f"{str(error).removesuffix('.')}; {kept}.") from error
    finally:
        if partial is not None:
            partial.release()


def discard_partial(folder: Path, settings: Mapping[str, Any]) -> None:
    """Delete what a run of these settings left that was killed when its result was there already."""
    with contextlib.suppress(OutputError, OSError):
        record = _record(folder)
        if folder.exists() and (record is None or not differences(record.get("settings"), settings)):
            acquire(folder)
            Partial(folder, settings).remove()


def open_partial(folder: Path, settings: Mapping[str, Any], resume: bool, overwrite: bool) -> Partial:
    """Claim the working folder for a run with these settings (plain JSON), until `release` or `remove`.

    Raises:
        OutputError: it holds an unfinished run that is neither to be resumed nor overwritten, one of other settings,
            or somebody else's files; another process works on it; or the system refused to write.
    """
    partial = Partial(folder, settings)
    _record(folder)  # complains of what is no working folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        acquire(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        _start(partial, resume, overwrite)
    except BaseException:
        partial.release()
        raise
    return partial


def _start(partial: Partial, resume: bool, overwrite: bool) -> None:
    """Leave a working folder that is to be gone on with, or make it a new one."""
    folder, settings = partial.folder, partial.settings
    record = _record(folder)
    if record is not None:
        differing = differences(record.get("settings"), settings)
        if resume and not differing:
            clear([entry for entry in folder.iterdir() if _is_unfinished(entry)])  # of a run that was killed
            return
        if not overwrite:
            raise OutputError(_refusal(folder, record, differing, resume))
    _clear(folder)
    partial.save_progress({})


def _refusal(folder: Path, record: Mapping[str, Any], differing: list[str], resume: bool) -> str:
    if resume:
        return f"{folder} belongs to other settings ({', '.join(differing[:4])}); use another --out or delete it."
    progress = record.get("progress")
    done, total = (progress.get(name) if isinstance(progress, dict) else None for name in ("done", "total"))
    far = f" ({done} of {total} iterations)" if type(done) is int and type(total) is int else ""
    return f"{folder} holds an unfinished run{far}; go on with --resume or start over with --overwrite."


def _record(folder: Path) -> dict[str, Any] | None:
    """The record of a working folder; None where there is none yet."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"{folder} is in the way and is no folder of ours; move it or use another --out.")
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if isinstance(record, dict) and record.get("kind") == KIND:
            return record
    except FileNotFoundError:
        # A run that was killed when it began, or when it was clearing up, leaves no record but files of ours.
        if not folder.exists() or all(_is_ours(entry) for entry in folder.iterdir()):
            return None
    except UNREADABLE:
        pass
    raise OutputError(f"{folder} holds other files and no unfinished run; move it or use another --out.")


def _is_ours(entry: Path) -> bool:
    return entry.name in OUR_NAMES or entry.name == LOCK or _is_unfinished(entry) or _is_chunk(entry)


def _is_chunk(entry: Path) -> bool:
    return bool(OUR_CHUNKS.fullmatch(entry.name))


def _is_unfinished(entry: Path) -> bool:
    return entry.name.startswith(".") and ".part" in entry.name


def _clear(folder: Path) -> None:
    try:
        ours = [entry for entry in folder.iterdir() if _is_ours(entry) and entry.name != LOCK]
        for entry in sorted(ours, key=lambda entry: entry.name == RECORD):  # last, what tells that the others are ours
            entry.unlink()
    except OSError as error:
        raise OutputError(f"Cannot delete {folder} ({error.strerror or error}); delete it by hand.") from error


def differences(a: Any, b: Any, name: str = "") -> list[str]:
    """Dotted names at which two JSON values differ; empty if they are equal."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = [*a, *(key for key in b if key not in a)]
        return [
            found
            for key in keys
            for found in differences(a.get(key), b.get(key), f"{name}.{key}" if name else str(key))
        ]
    return [] if a == b else [name or "everything"]
