"""Masks by a network that a generator taught: `bozzetto gan masks`."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.segment.categories import Category, find_category
from bozzetto.segment.mask_net import PX, MaskNet, read_mask_net
from bozzetto.segment.regions import steepen, tidy
from bozzetto.segment.segmenter import OBJECT_LEVEL, Segmentation

ASSETS = Path(__file__).parents[1] / "assets"
BUILT_IN = {  # category -> file in the package
    "car": "cars_masks_64.safetensors",
    "cat": "cats_masks_64.safetensors",
    "face": "faces_masks_64.safetensors",
}


class LearnedSegmenter:
    """The object as a generator of its kind draws it.

    A file knows one kind of object, and its pictures' framing; the category only says which built-in one is taken
    where no file is given. The score is averaged over the photo and its mirror image, which makes it mirror with the
    photo exactly.
    """

    name = "learned"

    def __init__(self, weights: str | Path | MaskNet | None = None) -> None:
        """Raises InputError or CheckpointError if the weights are missing or of another kind."""
        self._network = read_mask_net(Path(weights))[0] if isinstance(weights, str | Path) else weights

    def network(self, category: str | Category) -> MaskNet:
        """The network given, or the built-in one of a category. Raises InputError where there is neither."""
        if self._network is not None:
            return self._network
        kind = find_category(category).name
        if kind not in BUILT_IN:
            known = ", ".join(BUILT_IN)
            raise InputError(
                f"There are no learned masks of the category {kind!r} in the package ({known}); make them with "
                "`bozzetto gan masks GENERATOR -o masks.safetensors` and say --mask learned:masks.safetensors."
            )
        return read_mask_net(ASSETS / BUILT_IN[kind])[0]

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`."""
        with torch.no_grad():
            photos = images.detach().float().cpu()
            size = photos.shape[-2:]
            photos = F.interpolate(photos, size=(PX, PX), mode="bilinear", align_corners=False, antialias=True)
            photos = photos.clamp(0, 1)
            network = self.network(category)
            score = (torch.sigmoid(network(photos)) + torch.sigmoid(network(photos.flip(3))).flip(3)) / 2
            score = F.interpolate(score, size=size, mode="bilinear", align_corners=False, antialias=True)
            score = score.clamp(0, 1).to(images)
        return Segmentation(mask=tidy(steepen(score), OBJECT_LEVEL), score=score)
