"""DeepLabV3 (Chen et al., 2017) with a dilated ResNet-50 trunk, with the names of torchvision's published weights."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.segment.resnet import Bottleneck, ResNet

RATES = (12, 24, 36)  # of the atrous pyramid at output stride 8


def conv_norm(channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    """Convolution that keeps the size, BatchNorm, ReLU."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]


class AtrousPyramid(nn.Module):
    """The same features seen at several dilations and as a whole-image average, mixed by a 1 x 1 convolution."""

    def __init__(self, channels_in: int, width: int = 256) -> None:
        super().__init__()
        branches = [nn.Sequential(*conv_norm(channels_in, width, 1))]
        branches += [nn.Sequential(*conv_norm(channels_in, width, 3, rate)) for rate in RATES]
        branches += [nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm(channels_in, width, 1))]
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*conv_norm(len(branches) * width, width, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        seen = [branch(x) for branch in self.convs]
        seen[-1] = seen[-1].expand(-1, -1, *x.shape[-2:])
        return self.project(torch.cat(seen, dim=1))


class DeepLabV3(nn.Module):
    """ImageNet-normalised RGB [B,3,H,W] to class logits [B,K,H,W].

    `aux_classifier` is a head of the training only; it exists because the weight files hold it.
    """

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.backbone = ResNet(Bottleneck, (3, 4, 6, 3), dilated=(False, False, True, True))
        self.classifier = nn.Sequential(AtrousPyramid(2048), *conv_norm(256, 256, 3), nn.Conv2d(256, classes, 1))
        auxiliary = conv_norm(1024, 256, 3)
        # The published numbering has a dropout at 3.
        self.aux_classifier = nn.Sequential(
            OrderedDict([*((str(i), m) for i, m in enumerate(auxiliary)), ("4", nn.Conv2d(256, classes, 1))])
        )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        *_, features = self.backbone(x)
        return F.interpolate(self.classifier(features), size=x.shape[-2:], mode="bilinear", align_corners=False)
