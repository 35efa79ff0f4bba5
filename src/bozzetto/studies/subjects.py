"""The photos of a study: rendered heads with their truth, or anybody's photos."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.run_heads import HeadsRun, load_test_heads
from bozzetto.bench.summary import SIDE_FACE_DEG
from bozzetto.errors import InputError
from bozzetto.photo_list import list_photos


@dataclass(frozen=True)
class Subject:
    """One photo."""

    name: str
    photo: Float[Tensor, "3 s s"] | Path  # [0, 1], or a file
    truth: HeadTruth | None = None  # a batch of one

    @property
    def yaw_deg(self) -> float | None:
        """How far it is turned to a side, where that is known."""
        return None if self.truth is None else math.degrees(float(self.truth.view[0, 1]))

    @property
    def is_side_face(self) -> bool:
        """Whether it is turned by more than 25 degrees."""
        yaw = self.yaw_deg
        return yaw is not None and abs(yaw) > SIDE_FACE_DEG


def find_subjects(
    photos: Path | None, test_heads: Path | None, start: int, n: int, size: int, yaw_over: float = 0.0
) -> list[Subject]:
    """The photos numbered start to start + n - 1.

    Args:
        photos: folder, list or tar; heads if not given.
        test_heads: packed heads, instead of those in the package.
        size: px of the heads.
        yaw_over: degrees; only heads that are turned further count.

    Raises:
        InputError: there are not so many, or none of the size; or heads are chosen among photos.
    """
    if photos is None:
        chosen = load_test_heads(HeadsRun(n=n, start=start, test_heads=test_heads, yaw_over=yaw_over), size)
        heads = chosen.heads
        return [Subject(f"head {n}", heads.image[i], heads.take(i)) for i, n in enumerate(chosen.numbers)]
    if test_heads is not None or yaw_over != 0:
        raise InputError("--test-heads and --yaw-over choose among heads; leave them or --photos out.")
    paths = list_photos([photos])
    if n < 1 or start < 0 or start + n > len(paths):
        raise InputError(f"There are {len(paths)} photos in {photos}; --start and --n must stay within them.")
    chosen_paths = paths[start : start + n]
    stems = [path.stem for path in chosen_paths]
    # Scores are told apart by name: photos that share one are numbered.
    return [
        Subject(path.stem if stems.count(path.stem) == 1 else f"{path.stem} ({start + i})", path)
        for i, path in enumerate(chosen_paths)
    ]
