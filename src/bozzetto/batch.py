"""Many photos, one after another: one that fails does not keep the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bozzetto.errors import BozzettoError
from bozzetto.results import Reconstruction


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    photo: Path
    folder: Path
    result: Reconstruction | None  # None where it failed
    error: BozzettoError | None = None


def name_folders(photos: Sequence[Path], out: Path) -> list[Path]:
    """A result folder `<out>/<stem>` for each photo; of those with one stem, the second becomes `<stem>-2`, ..."""
    seen: dict[str, int] = {}
    folders = []
    for photo in photos:
        stem = photo.stem or photo.name
        key = stem.casefold()  # some file systems do not tell upper from lower case
        seen[key] = seen.get(key, 0) + 1
        folders.append(out / (stem if seen[key] == 1 else f"{stem}-{seen[key]}"))
    return folders


def reconstruct_each(
    jobs: Iterable[tuple[Path, Path]], work: Callable[[Path, Path], Reconstruction]
) -> Iterator[Outcome]:
    """Do the work (photo, folder) -> result for every pair and yield what came of it, in order.

    Errors a user can cause are part of the outcome; an interrupt ends everything.
    """
    for photo, folder in jobs:
        try:
            yield Outcome(photo, folder, work(photo, folder))
        except BozzettoError as error:
            yield Outcome(photo, folder, None, error)
