"""A mask drawn by the user, from an image file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bozzetto.crop import Square, cut, middle_square
from bozzetto.errors import InputError
from bozzetto.photo import open_upright, split_alpha, to_srgb
from bozzetto.segment.alpha import meaningful
from bozzetto.segment.categories import Category
from bozzetto.segment.segmenter import Segmentation, mask_problem

ASPECT_TOLERANCE = 0.02


def read_mask(
    path: str | Path, size: int, original_size: tuple[int, int] | None = None, square: Square | None = None
) -> Float[Tensor, "1 s s"]:
    """A mask file as a size x size mask in [0, 1]: white, or opaque if the file is a cut-out, is the object.

    A mask of the photo's shape is cropped like its photo; a square one of a photo that is not is not cropped at all.

    Args:
        original_size: width and height of the photo, if known; a mask of another shape is then refused.
        square: what was cut out of the photo; its middle square if not given.
    Raises:
        InputError: not a readable image, of another shape than the photo, empty, or full.
    """
    path = Path(path)
    image = open_upright(path)
    width, height = image.size
    if original_size is not None and width != height and not same_shape((width, height), original_size):
        raise InputError(
            f"The mask {path} is {width} x {height} pixels and its photo {original_size[0]} x "
            f"{original_size[1]}; make the mask from the photo itself."
        )
    colours, alpha = split_alpha(to_srgb(image, path))
    part = middle_square(width, height)
    if square is not None and original_size is not None and same_shape((width, height), original_size):
        part = square.scaled(width / original_size[0])
    mask = cut(colours, part, size, path).mean(dim=0, keepdim=True)
    if alpha is not None:
        cut_out = cut(alpha, part, size, path)
        mask = cut_out if meaningful(cut_out) else mask
    problem = mask_problem(mask)
    if problem:
        raise InputError(f"The mask {path} is of no use (white is the object). {problem}")
    return mask


def read_whole_mask(path: Path, photo_size: tuple[int, int]) -> Image.Image | None:
    """A mask file of a whole photo, mode L, white or opaque on the object; None for one of another shape."""
    image = open_upright(path)
    if not same_shape(image.size, photo_size):
        return None
    colours, alpha = split_alpha(to_srgb(image, path))
    cuts_out = alpha is not None and alpha.getextrema() != (255, 255)
    return alpha if alpha is not None and cuts_out else colours.convert("L")


def same_shape(mask_size: tuple[int, int], photo_size: tuple[int, int]) -> bool:
    """Whether width over height is that of the photo, but for rounding."""
    ratio = (mask_size[0] / mask_size[1]) / (photo_size[0] / photo_size[1])
    return abs(ratio - 1) <= ASPECT_TOLERANCE


class FileSegmenter:
    """Reads one mask file for each photo, in the photos' order; a single file serves a single photo."""

    name = "file"

    def __init__(
        self,
        *paths: str | Path,
        original_sizes: Sequence[tuple[int, int] | None] | None = None,
        squares: Sequence[Square | None] | None = None,
    ) -> None:
        self.paths = [Path(path) for path in paths]
        self.original_sizes = original_sizes
        self.squares = squares

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. Raises InputError as `read_mask` does, and if masks and photos differ in number."""
        if len(self.paths) != len(images):
            raise InputError(f"There are {len(self.paths)} mask files for {len(images)} photos; give one for each.")
        sizes = [None] * len(images) if self.original_sizes is None else list(self.original_sizes)
        squares = [None] * len(images) if self.squares is None else list(self.squares)
        rows = zip(self.paths, sizes, squares, strict=True)
        masks = [read_mask(path, images.shape[-1], size, square) for path, size, square in rows]
        mask = torch.stack(masks).to(images)
        return Segmentation(mask=mask, score=mask.clone())
