"""The face parser that GAN2Shape and its replication cut faces out with: BiSeNet taught on CelebAMask-HQ."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError
from bozzetto.segment.bisenet import BiSeNet
from bozzetto.segment.categories import Category, find_category
from bozzetto.segment.regions import tidy
from bozzetto.segment.resnet import imagenet_normalise
from bozzetto.segment.segmenter import Segmentation
from bozzetto.segment.weights import load_strictly, read_state_dict

INPUT_PX = 512  # the size it was taught at


class FaceParser:
    """Probability of the category's face labels, out of 19.

    The published weights (79999_iter.pth of zllrunning/face-parsing.PyTorch, MIT; the data set is non-commercial)
    live on a file host that names no hash: the user fetches the file and gives its path.
    """

    name = "face-parser"

    def __init__(self, weights: str | Path, device: torch.device | str = "cpu", input_px: int = INPUT_PX) -> None:
        """Raises InputError or CheckpointError if the file is missing, unsafe, or not this network's."""
        path = Path(weights)
        self.network = BiSeNet(classes=19)
        load_strictly(self.network, read_state_dict(path), path)
        self.network.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.input_px = input_px

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. Raises InputError for a category that has no face labels."""
        row = find_category(category)
        if not row.face_labels:
            raise InputError(f"The face parser knows faces only, not the category {row.name!r}.")
        with torch.no_grad():
            enlarged = F.interpolate(
                images.detach().float().to(self.device),
                size=(self.input_px, self.input_px),
                mode="bilinear",
                align_corners=False,
                antialias=True,
            )
            probability = self.network(imagenet_normalise(enlarged)).softmax(dim=1)
            score = probability[:, list(row.face_labels)].sum(dim=1, keepdim=True)
            score = F.interpolate(score, size=images.shape[-2:], mode="area").clamp(0, 1).to(images)
        return Segmentation(mask=tidy(score), score=score)
