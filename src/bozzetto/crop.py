"""The square of a photo that is worked on, and how it is cut out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bozzetto.errors import InputError

MIN_SIDE_PX = 8
MOST_OUTSIDE = 2.0  # side of a square, of the photo's longer side


@dataclass(frozen=True)
class Square:
    """A square of an upright photo in its pixels; parts outside the photo repeat the photo's nearest edge."""

    left: int
    top: int
    side: int
    rows: tuple[int, int] | None = None  # first and one past the last row that is shown; the others are black

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.left + self.side, self.top + self.side

    def scaled(self, factor: float) -> Square:
        """The same square of the photo in another resolution."""
        rows = None if self.rows is None else (round(self.rows[0] * factor), round(self.rows[1] * factor))
        return Square(round(self.left * factor), round(self.top * factor), max(1, round(self.side * factor)), rows)

    def inside(self, width: int, height: int) -> bool:
        """Whether the photo covers all of it."""
        left, top, right, bottom = self.box
        return left >= 0 and top >= 0 and right <= width and bottom <= height


def middle_square(width: int, height: int) -> Square:
    """The largest square in the middle; half a pixel towards the top left if uneven."""
    side = min(width, height)
    return Square((width - side) // 2, (height - side) // 2, side)


def parse_crop(crop: str | tuple[int, int, int]) -> str | Square:
    """ "auto", "none", or a square from "x,y,size" or three whole numbers. Raises InputError."""
    if isinstance(crop, str) and crop in ("auto", "none"):
        return crop
    parts = crop.split(",") if isinstance(crop, str) else crop
    try:
        left, top, side = (int(part) for part in parts)
    except (ValueError, TypeError):
        raise InputError(
            f"The crop cannot be {crop!r}; give auto, none, or x,y,size: left, top and side of a square in pixels."
        ) from None
    if side < MIN_SIDE_PX:
        raise InputError(f"The crop is {side} pixels wide; it needs at least {MIN_SIDE_PX}.")
    return Square(left, top, side)


def check_square(square: Square, width: int, height: int, name: str) -> None:
    """Raise InputError for a square that sees nothing of a photo, or far more than it."""
    left, top, right, bottom = square.box
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise InputError(
            f"The crop {left},{top},{square.side} lies outside {name}, which is {width} x {height} pixels."
        )
    if square.side > MOST_OUTSIDE * max(width, height):
        raise InputError(
            f"The crop is {square.side} pixels wide and {name} only {width} x {height}; choose a smaller one."
        )


def cut(image: Image.Image, square: Square, size: int, path: Path) -> Float[Tensor, "c s s"]:
    """The square of an image of mode L, RGB or F as a size x size tensor in [0, 1].

    Resized in one step (Lanczos, antialiased; untouched when it already has the size). Raises InputError.
    """
    try:
        if square.rows is None and square.inside(*image.size):
            small = image.resize((size, size), Image.Resampling.LANCZOS, box=square.box)
        else:
            small = padded(image, square).resize((size, size), Image.Resampling.LANCZOS)
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; make it smaller first.") from error
    values = np.array(small, dtype=np.float32)  # a copy: tensors need memory they may write to
    if image.mode != "F":
        values /= 255
    values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(values)).clamp(0, 1)


def padded(image: Image.Image, square: Square) -> Image.Image:
    """The square at the photo's own resolution, with what lies outside the photo made up."""
    width, height = image.size
    left, top, right, bottom = square.box
    box = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    values = np.asarray(image.crop(box))
    outside = [(box[1] - top, bottom - box[3]), (box[0] - left, right - box[2])]
    values = np.pad(values, outside + [(0, 0)] * (values.ndim - 2), mode="edge")
    if square.rows is not None:
        first, last = (min(max(row - top, 0), square.side) for row in square.rows)
        values[:first], values[last:] = 0, 0
    return Image.fromarray(values)
