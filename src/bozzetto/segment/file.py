"""A mask drawn by the user, from an image file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.photo import middle_square, open_upright, resized, split_alpha, to_srgb
from bozzetto.segment.alpha import meaningful
from bozzetto.segment.categories import Category
from bozzetto.segment.segmenter import Segmentation, mask_problem

ASPECT_TOLERANCE = 0.02


def read_mask(path: str | Path, size: int, original_size: tuple[int, int] | None = None) -> Float[Tensor, "1 s s"]:
    """A mask file as a size x size mask in [0, 1]: white, or opaque if the file is a cut-out, is the object.

    The mask is cropped like its photo: a mask of the photo's shape to its middle square, a square one not at all.

    Args:
        original_size: width and height of the photo, if known; a mask of another shape is then refused.
    Raises:
        InputError: not a readable image, of another shape than the photo, empty, or full.
    """
    path = Path(path)
    image = open_upright(path)
    width, height = image.size
    if original_size is not None and width != height:
        ratio = (width / height) / (original_size[0] / original_size[1])
        if abs(ratio - 1) > ASPECT_TOLERANCE:
            raise InputError(
                f"The mask {path} is {width} x {height} pixels and its photo {original_size[0]} x "
                f"{original_size[1]}; make the mask from the photo itself."
            )
    colours, alpha = split_alpha(to_srgb(image, path))
    box = middle_square(width, height)
    mask = resized(colours, box, size, path).mean(dim=0, keepdim=True)
    if alpha is not None:
        cut_out = resized(alpha, box, size, path)
        mask = cut_out if meaningful(cut_out) else mask
    problem = mask_problem(mask)
    if problem:
        raise InputError(f"The mask {path} is of no use (white is the object). {problem}")
    return mask


class FileSegmenter:
    """Reads one mask file for each photo, in the photos' order; a single file serves a single photo."""

    name = "file"

    def __init__(self, *paths: str | Path, original_sizes: Sequence[tuple[int, int] | None] | None = None) -> None:
        self.paths = [Path(path) for path in paths]
        self.original_sizes = original_sizes

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. Raises InputError as `read_mask` does, and if masks and photos differ in number."""
        if len(self.paths) != len(images):
            raise InputError(f"There are {len(self.paths)} mask files for {len(images)} photos; give one for each.")
        sizes = [None] * len(images) if self.original_sizes is None else list(self.original_sizes)
        masks = [read_mask(p, images.shape[-1], s) for p, s in zip(self.paths, sizes, strict=True)]
        mask = torch.stack(masks).to(images)
        return Segmentation(mask=mask, score=mask.clone())
