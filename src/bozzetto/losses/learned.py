"""The learned perceptual distance of Zhang et al., CVPR 2018, Eq. 1.

Features of every block are scaled to unit length at each pixel, their squared differences weighted by a learned,
non-negative number per channel, added over channels, averaged over the picture and added over blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import CheckpointError, InputError
from bozzetto.losses.perceptual import composite
from bozzetto.losses.photometric import masked_mean
from bozzetto.losses.vgg16 import WIDTHS, Vgg16
from bozzetto.precision import Precision

# What LPIPS subtracts from and divides images in [-1, 1] by: ImageNet's mean and deviation on that scale.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
# Added to the squared length. Under the root, so that the gradient of an all-zero feature is 0 and not undefined.
TINY = 1e-20


class LearnedDistance:
    """Distance in the weighted features of a frozen trunk; satisfies `perceptual.Perceptual`."""

    def __init__(
        self,
        name: str,
        trunk: Vgg16,
        heads: Sequence[Float[Tensor, " _"]],
        *,
        min_size: int,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        """
        Args:
            name: what settings and results call the distance.
            trunk: with its weights, frozen.
            heads: weight of every channel of every tap.
            min_size: smallest side of a picture in pixels that the trunk's poolings can take.
            precision: of the trunk's convolutions; lengths, differences and means stay float32.
        """
        self.name = name
        self.min_size = min_size
        self.precision = precision
        self.device = torch.device(device)
        self.trunk = trunk.to(self.device)
        for layer in self.trunk.convolutions():
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        self.heads = [head.detach().clone().view(1, -1, 1, 1).to(self.device) for head in heads]
        self.shift = torch.tensor(SHIFT, device=self.device).view(1, 3, 1, 1)
        self.scale = torch.tensor(SCALE, device=self.device).view(1, 3, 1, 1)

    def features(self, images: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Unit-length features of images in [0, 1], fine to coarse. Raises InputError for pictures too small."""
        if min(images.shape[-2:]) < self.min_size:
            raise InputError(
                f"The perceptual loss {self.name!r} needs pictures of at least {self.min_size} px, not "
                f"{min(images.shape[-2:])}; choose another --perceptual or a larger size."
            )
        normalised = ((images * 2 - 1) - self.shift) / self.scale
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            taps = self.trunk(normalised.contiguous(memory_format=torch.channels_last))
        return [unit_length(tap.to(images.dtype)) for tap in taps]

    def __call__(
        self,
        predicted: Float[Tensor, "b 3 h w"],
        target: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b"]:
        """Distance of each item, averaged over the mask pooled to every tap's size."""
        with torch.no_grad():
            wanted = self.features(target)
        return self.compare(predicted, target, mask, wanted)

    def compare(
        self,
        predicted: Float[Tensor, "b 3 h w"],
        target: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        wanted: list[Tensor],
    ) -> Float[Tensor, "b"]:
        """As the call, with the target's features known already."""
        total = torch.zeros(len(mask), dtype=mask.dtype, device=mask.device)
        for a, b, head in zip(self.features(composite(predicted, target, mask)), wanted, self.heads, strict=True):
            different = ((a - b).square() * head).sum(1, keepdim=True)
            total = total + masked_mean(different, F.adaptive_avg_pool2d(mask, (a.shape[2], a.shape[3])))
        return total


def unit_length(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Features over their length at each pixel; 0 stays 0."""
    return features * torch.rsqrt(features.square().sum(1, keepdim=True) + TINY)


def read_heads(state: Mapping[str, Tensor], source: str) -> list[Float[Tensor, " _"]]:
    """The five linear heads `lin0.model.1.weight` to `lin4...` of a file, as both packages name them.

    Raises CheckpointError where one is missing or of another shape.
    """
    heads = []
    for i, width in enumerate(WIDTHS):
        head = state.get(f"lin{i}.model.1.weight")
        if head is None or head.shape != (1, width, 1, 1):
            raise CheckpointError(f"{source} has no linear head {i} of {width} channels; install its package again.")
        heads.append(head.flatten())
    return heads
