"""Which square of a photo is worked on: given, the middle one, or the one that frames the object as the GAN expects.

`auto` looks for the object twice: in the whole photo, then around what was found there. A square photo is taken as it
is, unless it is larger than the generator's pictures, both looks agree, and the square they find is narrower than
`SMALL` of it. In other photos, where nothing is found or the looks disagree, the middle square is taken, with a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bozzetto.crop import Square, check_square, cut, middle_square
from bozzetto.errors import BozzettoError
from bozzetto.photo import Upright, cut_photo
from bozzetto.segment.border import MOST_RAGGED, find_anywhere, raggedness
from bozzetto.segment.framings import UNKNOWN, Framing
from bozzetto.segment.outline import Fit, box_of, fit_framing
from bozzetto.segment.registry import Masked
from bozzetto.segment.segmenter import MOST_SHARE, OBJECT_LEVEL

SMALL = 0.6  # a square photo is cropped if the square found is narrower than this share of it: of 214 aligned
# pictures of cats and faces none was
LOOK_PX = 256  # at which the object is sought
LEAST_SHARE = 0.002  # of the whole photo; a smaller object is not believed
AROUND = 2.2  # the second look is at this many sides of the square found first
SAME = 0.3  # least overlap of the squares found at two looks; else they saw different things
SURE = 0.6  # least overlap that is believed against a square photo

# Images [1, 3, n, n] in [0, 1] -> mask; raises BozzettoError where it cannot look at all.
Look = Callable[[Float[Tensor, "1 3 n n"]], Masked]


@dataclass(frozen=True)
class Choice:
    """The square, how it came about, and what the user should know about it."""

    square: Square
    how: str  # "whole", "middle", "given", or "auto: " and what found the object
    note: str | None = None


def choose(
    photo: Upright,
    size: int,
    crop: str | Square,
    framing: Framing,
    looks: Sequence[Look],
    mask: Image.Image | None = None,
) -> Choice:
    """The square of a photo to be worked on at `size` pixels.

    crop: "auto", "none", or the square itself.
    looks: segmenters in order of preference.
    mask: of the whole photo, mode L, white on the object, where it is known.
    Raises InputError for a square that does not fit the photo.
    """
    width, height = photo.size
    if isinstance(crop, Square):
        check_square(crop, width, height, str(photo.path))
        return Choice(crop, "given")
    middle = middle_square(width, height)
    is_square = width == height
    whole = Choice(middle, "whole" if is_square else "middle")
    if crop == "none" or (is_square and (width <= size or framing is UNKNOWN)):
        return whole
    found = find_square(photo, framing, looks, mask)
    if is_square:
        sure = found is not None and found.agreement >= SURE and found.square.side < SMALL * width
        return Choice(found.square, f"auto: {found.by}") if found is not None and sure else whole
    if found is None:
        note = f"{photo.path} shows no object that can be told from its background, so its middle square is taken"
        return Choice(middle, "middle", f"{note}; --crop x,y,size names another.")
    return Choice(found.square, f"auto: {found.by}")


@dataclass(frozen=True)
class Found:
    """A square that frames the object."""

    square: Square
    by: str  # what found the object
    agreement: float  # overlap of the squares found at two looks; 1 where the mask was known


def find_square(
    photo: Upright, framing: Framing, looks: Sequence[Look], mask: Image.Image | None = None
) -> Found | None:
    """The square that frames the object; None where nobody finds one."""
    scale = LOOK_PX / max(photo.size)
    for name, known in (("mask", mask), ("alpha", photo.alpha)):
        if known is not None and _usable(outline := _plane(known, photo, scale)):
            fit = fit_framing(outline, framing)
            return None if fit is None else Found(_square(fit, outline, framing, scale, photo), name, 1.0)
    for look in looks:
        first = _first_look(photo, look, framing)
        if first is not None and (found := _second_look(photo, look, framing, *first)) is not None:
            return found
    return None


def _first_look(photo: Upright, look: Look, framing: Framing) -> tuple[Square, str] | None:
    """What a segmenter finds in the whole photo, or in a part of it if not there."""
    for window in _windows(*photo.size):
        outline, name = _mask_in(photo, window, look)
        if outline is None:
            continue
        scale = LOOK_PX / window.side
        known = _known(photo, window)
        fit = fit_framing(outline, framing, known)
        if fit is not None:
            return _square(fit, outline, framing, scale, photo, window), name
    return None


def _second_look(photo: Upright, look: Look, framing: Framing, first: Square, name: str) -> Found | None:
    """The square found around a first one, by an object that is now as large as the segmenter is used to.

    None where that is another one: then the first look saw something that is not there.
    """
    side = round(AROUND * first.side)
    window = Square(first.left + (first.side - side) // 2, first.top + (first.side - side) // 2, side)
    outline, _ = _mask_in(photo, window, look)
    if outline is None:
        return None
    scale, known = LOOK_PX / window.side, _known(photo, window)
    fit = fit_framing(outline, framing, known, near=first.side * scale / framing.side)
    if fit is None:
        return None
    second = _square(fit, outline, framing, scale, photo, window)
    agreement = overlap(first, second)
    return Found(second, name, agreement) if agreement >= SAME else None


def _windows(width: int, height: int) -> Iterator[Square]:
    """The whole photo in a square, then squares of its shorter side along its longer one."""
    longer, shorter = max(width, height), min(width, height)
    yield Square((width - longer) // 2, (height - longer) // 2, longer)
    room = longer - shorter
    for start in sorted(
        {round(room * share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)}, key=lambda s: abs(s - room / 2)
    ):
        if room > 0:
            yield Square(start, 0, shorter) if width > height else Square(0, start, shorter)


def _mask_in(photo: Upright, window: Square, look: Look) -> tuple[Float[Tensor, "n n"] | None, str]:
    """The object in a window of the photo; None where the segmenter does not find one.

    The border segmenter believes in objects in the middle alone, and here they are elsewhere, so it looks again.
    """
    image = cut_photo(Upright(photo.planes, None, photo.path), window, LOOK_PX)[0][None]
    try:
        masked = look(image)
    except BozzettoError:
        return None, ""
    known, name = _known(photo, window), masked.segmenter
    outline = masked.mask[0, 0] * known
    if not _usable(outline, known) and "border" in name:
        body = find_anywhere(image)
        outline = body[0, 0].float() * known * (raggedness(body) <= MOST_RAGGED)
    return (outline, name) if _usable(outline, known) else (None, name)


def _usable(outline: Float[Tensor, "h w"], known: Float[Tensor, "h w"] | None = None) -> bool:
    """Whether a mask has something in it, and something beside it, where the photo is known."""
    area = outline.numel() if known is None else float(known.sum())
    share = float((outline >= OBJECT_LEVEL).sum()) / max(1.0, area)
    return LEAST_SHARE <= share <= MOST_SHARE


def _known(photo: Upright, window: Square) -> Float[Tensor, "n n"]:
    """1 where a window shows the photo, 0 where it lies outside."""
    ticks = (torch.arange(LOOK_PX) + 0.5) * window.side / LOOK_PX
    x, y = ticks + window.left, ticks + window.top
    width, height = photo.size
    columns, rows = (x > 0) & (x < width), (y > 0) & (y < height)
    return (rows[:, None] & columns[None]).float()


def _plane(mask: Image.Image, photo: Upright, scale: float) -> Float[Tensor, "h w"]:
    """A mask of the whole photo at the resolution of the search."""
    width, height = photo.size
    longer = max(width, height)
    small = cut(mask.resize(photo.size), Square(0, 0, longer), LOOK_PX, photo.path)
    return small[0, : max(1, round(height * scale)), : max(1, round(width * scale))]


def _square(
    fit: Fit,
    outline: Float[Tensor, "h w"],
    framing: Framing,
    scale: float,
    photo: Upright,
    window: Square = Square(0, 0, 0),  # noqa: B008 - frozen
) -> Square:
    """A fit in a window's pixels as a square of the photo."""
    side = max(1, round(fit.side / scale))
    left, top = round(fit.left / scale) + window.left, round(fit.top / scale) + window.top
    if framing is UNKNOWN:  # no training picture asks for more than the photo shows
        side = min(side, *photo.size)
        left, top = (round(v / scale + fit.side / scale / 2 - side / 2) for v in (fit.left, fit.top))
        left = min(max(left + window.left, 0), photo.size[0] - side)
        top = min(max(top + window.top, 0), photo.size[1] - side)
    if not framing.letterbox:
        return Square(left, top, side)
    _, first, _, last = box_of(outline)
    room = framing.margin * fit.side
    rows = (round((first - room) / scale) + window.top, round((last + room) / scale) + window.top)
    return Square(left, top, side, (max(rows[0], 0), min(rows[1], photo.size[1])))


def overlap(a: Square, b: Square) -> float:
    """Area that two squares share over the area of either."""
    width = min(a.left + a.side, b.left + b.side) - max(a.left, b.left)
    height = min(a.top + a.side, b.top + b.side) - max(a.top, b.top)
    shared = max(0, width) * max(0, height)
    return shared / (a.side**2 + b.side**2 - shared)
