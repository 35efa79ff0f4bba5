"""The residual trunks of the parsers (He et al., 2016), with the names of the published weight files."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    """1 x 1 projection of the identity where shapes differ; None where they do not."""
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (ResNet-18)."""

    expansion = 1

    def __init__(self, channels_in: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(channels_in, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + identity)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions; the stride sits on the 3 x 3 (ResNet-50, "v1.5")."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = shortcut(channels_in, width * self.expansion, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + identity)


class ResNet(nn.Module):
    """Trunk without the classifier; `dilated` stages keep their input's size and widen the kernels instead.

    A dilated stage doubles the dilation from its second block on; its first block still has the dilation before.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        dilated: Sequence[bool] = (False, False, False, False),
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels, dilation = 64, 1
        stages: list[nn.Sequential] = []
        for index, (depth, widen) in enumerate(zip(depths, dilated, strict=True)):
            width, stride, first_dilation = 64 * 2**index, 1 if index == 0 else 2, dilation
            if widen:
                dilation, stride = dilation * stride, 1
            blocks = [block(channels, width, stride, first_dilation)]
            channels = width * block.expansion
            blocks += [block(channels, width, 1, dilation) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the last three stages; strides 8, 16, 32 where nothing is dilated."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        second = self.layer2(self.layer1(x))
        third = self.layer3(second)
        return second, third, self.layer4(third)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_normalise(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """RGB in [0, 1] to the mean and deviation that trunks trained on ImageNet expect."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std
