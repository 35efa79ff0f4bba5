"""VGG16's thirteen convolutions up to relu5_3, read after each of the five blocks.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, configuration D.
Only the pooling between the blocks differs from one perceptual distance to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.errors import CheckpointError

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # channels
WIDTHS = tuple(block[-1] for block in BLOCKS)
CONVOLUTIONS = sum(len(block) for block in BLOCKS)


class HalvingPool(nn.Module):
    """VGG16's own pooling: the largest of 2 x 2 pixels."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h//2 w//2"]:
        return F.max_pool2d(x, 2)


class BlurredPool(nn.Module):
    """Largest of every 2 x 2 window, then a 3 x 3 low-pass filter at every second pixel, reflected by two at the rim.

    Shift-tolerant LPIPS (Ghildyal & Liu, ECCV 2022) after Zhang, "Making Convolutional Networks Shift-Invariant Again",
    ICML 2019. A side of s pixels becomes s // 2 + 1 (for even s).
    """

    kernel: Tensor

    def __init__(self, kernel: Float[Tensor, "c 1 3 3"]) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel.clone())

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        dense = F.max_pool2d(x, 2, stride=1)
        return F.conv2d(F.pad(dense, (2, 2, 2, 2), mode="reflect"), self.kernel, stride=2, groups=x.shape[1])


class Vgg16(nn.Module):
    """Five blocks with a pooling before each but the first. Built without weights: see `load_convolutions`."""

    def __init__(self, pools: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(pools) != len(BLOCKS) - 1:
            raise ValueError(f"VGG16 has {len(BLOCKS) - 1} poolings, not {len(pools)}")
        self.pools = nn.ModuleList(pools)
        self.blocks = nn.ModuleList()
        before = 3
        for block in BLOCKS:
            layers: list[nn.Module] = []
            for channels in block:
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
                before = channels
            self.blocks.append(nn.Sequential(*layers))

    def convolutions(self) -> list[nn.Conv2d]:
        """The thirteen, in order."""
        return [layer for layer in self.blocks.modules() if isinstance(layer, nn.Conv2d)]

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Activations relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of normalised images."""
        taps = [self.blocks[0](x)]
        for pool, block in zip(self.pools, self.blocks[1:], strict=True):
            taps.append(block(pool(taps[-1])))
        return taps


def load_convolutions(
    trunk: Vgg16, state: Mapping[str, Tensor], prefixes: Sequence[str], ignored: Sequence[str], source: str
) -> None:
    """Copy the thirteen weights and biases in, named `prefix.weight` and `prefix.bias`, and freeze the trunk.

    Args:
        state: the file's tensors.
        prefixes: the file's names of the convolutions, in order.
        ignored: beginnings of names that the file may hold besides.
        source: what the message calls the file.

    Raises:
        CheckpointError: a tensor is missing, of another shape, or not one that such a file holds.
    """
    wanted = {f"{prefix}.{part}" for prefix in prefixes for part in ("weight", "bias")}
    foreign = [name for name in state if name not in wanted and not name.startswith(tuple(ignored))]
    missing = sorted(wanted - set(state))
    if missing or foreign:
        what = f"lacks {missing[0]!r}" if missing else f"holds an unexpected {foreign[0]!r}"
        raise CheckpointError(f"{source} {what}: it is another file than the one needed; delete it and get it again.")
    for prefix, layer in zip(prefixes, trunk.convolutions(), strict=True):
        for part, parameter in (("weight", layer.weight), ("bias", layer.bias)):
            value = state[f"{prefix}.{part}"]
            if parameter is None or value.shape != parameter.shape:
                raise CheckpointError(
                    f"{source} holds a {prefix}.{part} of shape {list(value.shape)}, which is not VGG16's; "
                    "delete it and get it again."
                )
            with torch.no_grad():
                parameter.copy_(value)
    trunk.requires_grad_(False).eval()
