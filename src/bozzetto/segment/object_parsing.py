"""An object parser for the 20 kinds of Pascal VOC, in place of the PSPNet that GAN2Shape used for cats and cars."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.download import RemoteFile, fetch
from bozzetto.errors import InputError
from bozzetto.segment.categories import Category, find_category
from bozzetto.segment.deeplab import DeepLabV3
from bozzetto.segment.regions import tidy
from bozzetto.segment.resnet import imagenet_normalise
from bozzetto.segment.segmenter import Segmentation
from bozzetto.segment.weights import load_strictly, read_state_dict

INPUT_PX = 520  # the published weights' own evaluation size

# torchvision's weights: COCO images, the 21 labels of Pascal VOC, mean IoU 66.4 there. The file's name ends in the
# first eight digits of its SHA-256, which is all that is published of it.
WEIGHTS = RemoteFile(
    name="deeplabv3_resnet50_coco-cd0a2569.pth",
    url="https://download.pytorch.org/models/deeplabv3_resnet50_coco-cd0a2569.pth",
    max_bytes=200_000_000,
    sha256_prefix="cd0a2569",
    licence="BSD-3-Clause",
)


class ObjectParser:
    """Probability of the category's Pascal VOC label, by DeepLabV3 with a ResNet-50 trunk."""

    name = "object-parser"

    def __init__(
        self, weights: str | Path | None = None, device: torch.device | str = "cpu", input_px: int = INPUT_PX
    ) -> None:
        """Without a weight file the published one is used, and downloaded once.

        Raises InputError or CheckpointError if the weights are missing, unsafe, or not this network's.
        """
        path = fetch(WEIGHTS) if weights is None else Path(weights)
        self.network = DeepLabV3(classes=21)
        load_strictly(self.network, read_state_dict(path), path)
        self.network.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.input_px = input_px

    def __call__(self, images: Float[Tensor, "b 3 s s"], category: str | Category) -> Segmentation:
        """See `Segmenter`. Raises InputError for a category that Pascal VOC does not know."""
        row = find_category(category)
        if row.voc_label is None:
            raise InputError(f"The object parser does not know the category {row.name!r}; give a mask file instead.")
        with torch.no_grad():
            enlarged = F.interpolate(
                images.detach().float().to(self.device),
                size=(self.input_px, self.input_px),
                mode="bilinear",
                align_corners=False,
                antialias=True,
            )
            probability = self.network(imagenet_normalise(enlarged)).softmax(dim=1)
            score = probability[:, row.voc_label : row.voc_label + 1]
            score = F.interpolate(score, size=images.shape[-2:], mode="area").clamp(0, 1).to(images)
        return Segmentation(mask=tidy(score), score=score)
