"""Segmenters by name, and the choice of one for a photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bozzetto.crop import Square
from bozzetto.download import cache_dir
from bozzetto.errors import BozzettoError, InputError
from bozzetto.segment.alpha import AlphaSegmenter, meaningful
from bozzetto.segment.border import BorderSegmenter
from bozzetto.segment.categories import Category, find_category
from bozzetto.segment.constant import ConstantSegmenter
from bozzetto.segment.face_parsing import FaceParser
from bozzetto.segment.file import FileSegmenter
from bozzetto.segment.guided import GuidedSegmenter
from bozzetto.segment.learned import LearnedSegmenter
from bozzetto.segment.object_parsing import WEIGHTS, ObjectParser
from bozzetto.segment.segmenter import Segmenter, mask_problem
from bozzetto.segment.selfie import SelfieSegmenter


@dataclass(frozen=True)
class Masked:
    """The mask found for one photo, who found it, and what the user should know about it."""

    mask: Float[Tensor, "1 1 s s"]  # [0, 1]
    score: Float[Tensor, "1 1 s s"]  # [0, 1]
    segmenter: str
    note: str | None  # one sentence, None if all is well


def _face_parser(weights: Path | None) -> Segmenter:
    if weights is None:
        raise InputError(
            "The face parser needs its weight file: fetch 79999_iter.pth, which the project "
            "zllrunning/face-parsing.PyTorch links to, and say --mask face-parser:79999_iter.pth (a path)."
        )
    return FaceParser(weights)


# Segmenters that need nothing but the photo, and perhaps a weight file.
MAKERS: Mapping[str, Callable[[Path | None], Segmenter]] = {
    "selfie": lambda _weights: SelfieSegmenter(),
    "selfie+border": lambda _weights: GuidedSegmenter(SelfieSegmenter()),
    "border": lambda _weights: BorderSegmenter(),
    "face-parser": _face_parser,
    "object-parser": lambda weights: ObjectParser(weights),
    "learned": lambda weights: LearnedSegmenter(weights),
    "none": lambda _weights: ConstantSegmenter(),
}
NAMES = ("auto", "alpha", "file", *MAKERS)
# These know the object only as it is framed in the generator's pictures, so they cannot seek it in a whole photo.
FRAMED = ("learned",)


def make_segmenter(name: str, weights: str | Path | None = None) -> Segmenter:
    """A segmenter that works on any photo, by name.

    Raises:
        InputError: unknown name, or one that needs more than the photo (alpha, file, auto).
        MissingExtraError, CheckpointError: what the segmenter needs is not there.
    """
    if name not in MAKERS:
        raise InputError(f"There is no segmenter {name!r}; choose one of {', '.join(NAMES)}.")
    return MAKERS[name](None if weights is None else Path(weights))


def is_at_hand(name: str) -> bool:
    """Whether a segmenter works without a download."""
    return name != "object-parser" or (cache_dir() / WEIGHTS.name).is_file()


def mask_photo(
    image: Float[Tensor, "3 s s"],
    category: str | Category,
    alpha: Float[Tensor, "1 s s"] | None = None,
    segmenter: str = "auto",
    mask_file: str | Path | None = None,
    original_size: tuple[int, int] | None = None,
    weights: str | Path | None = None,
    square: Square | None = None,
) -> Masked:
    """The mask of one photo.

    A mask file wins over everything. `auto` takes the alpha channel if it cuts something out, then the first of the
    category's segmenters that is installed and finds something, then the whole photo, with a note; it downloads
    nothing. A segmenter asked for by name is used, with a note if its mask is of no use; a fit refuses an empty one
    (`ingredients.require_object`). `square` is what was cut out of a photo of `original_size`, and is cut out of a
    mask file too.

    Raises:
        InputError, MissingExtraError, CheckpointError: the segmenter or mask asked for cannot be used.
    """
    row = find_category(category)
    images = image[None]
    if mask_file is not None or segmenter == "file":
        if mask_file is None:
            raise InputError("The segmenter 'file' needs a mask file; give its path.")
        file = FileSegmenter(mask_file, original_sizes=[original_size], squares=[square])
        return run_segmenter(file, images, row)
    if segmenter == "alpha":
        if alpha is None:
            raise InputError("The photo has no transparent part to use as a mask; choose another segmenter.")
        return run_segmenter(AlphaSegmenter(alpha[None]), images, row)
    if segmenter != "auto":
        return run_segmenter(make_segmenter(segmenter, weights), images, row)
    if alpha is not None and meaningful(alpha):
        return run_segmenter(AlphaSegmenter(alpha[None]), images, row)
    return _first_useful(images, row)


def run_segmenter(segmenter: Segmenter, images: Float[Tensor, "1 3 s s"], row: Category) -> Masked:
    """What a segmenter says of one photo, with a note where that is of no use."""
    found = segmenter(images, row)
    note = None if segmenter.name == "none" else mask_problem(found.mask[0])
    return Masked(found.mask, found.score, segmenter.name, note)


def _first_useful(images: Float[Tensor, "1 3 s s"], row: Category) -> Masked:
    """The category's segmenters in order; the whole photo if none is installed or none finds anything."""
    troubles = []
    for name in row.segmenters:
        if not is_at_hand(name):
            troubles.append("object-parser: its weights are not there; ask for it by name to download them.")
            continue
        try:
            found = run_segmenter(make_segmenter(name), images, row)
        except BozzettoError as error:
            troubles.append(f"{name}: {error}")
            continue
        if found.note is None:
            return found
        troubles.append(f"{name}: {found.note}")
    note = "No segmenter found the object, so the whole photo counts as object; give a mask file. " + " ".join(troubles)
    whole = run_segmenter(ConstantSegmenter(), images, row)
    return Masked(whole.mask, whole.score, whole.segmenter, note)
