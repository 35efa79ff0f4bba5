"""BiSeNet (Yu et al., ECCV 2018) as the public face parser has it: ResNet-18 trunk, its stride-8 features in place
of the spatial path, two attention refinement modules, one feature fusion module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.segment.resnet import BasicBlock, ResNet


class ConvNorm(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        return F.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """Features weighed per channel by a sigmoid of their own average (paper, figure 2b)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels_in, channels_out)
        self.conv_atten = nn.Conv2d(channels_out, channels_out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(x.mean(dim=(2, 3), keepdim=True))))


class ContextPath(nn.Module):
    """Trunk, and its stride-16 and stride-32 features refined and brought up one step each."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet(BasicBlock, (2, 2, 2, 2))
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvNorm(128, 128)
        self.conv_head16 = ConvNorm(128, 128)
        self.conv_avg = ConvNorm(512, 128, kernel=1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, Tensor, Tensor]:
        """Trunk features at stride 8, context at stride 8, context at stride 16."""
        at8, at16, at32 = self.resnet(x)
        whole = self.conv_avg(at32.mean(dim=(2, 3), keepdim=True))
        up16 = self.conv_head32(F.interpolate(self.arm32(at32) + whole, size=at16.shape[-2:], mode="nearest"))
        up8 = self.conv_head16(F.interpolate(self.arm16(at16) + up16, size=at8.shape[-2:], mode="nearest"))
        return at8, up8, up16


class FeatureFusion(nn.Module):
    """Detail and context concatenated, mixed, and weighed by channel attention (paper, figure 2c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = ConvNorm(channels, channels, kernel=1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, detail: Float[Tensor, "b c h w"], context: Float[Tensor, "b d h w"]) -> Float[Tensor, "b e h w"]:
        x = self.convblk(torch.cat([detail, context], dim=1))
        attention = torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean(dim=(2, 3), keepdim=True)))))
        return x + x * attention


class ParsingHead(nn.Module):
    """Features to one value a class."""

    def __init__(self, channels_in: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels_in, width)
        self.conv_out = nn.Conv2d(width, classes, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """ImageNet-normalised RGB [B,3,H,W], H and W multiples of 32, to class logits [B,K,H,W].

    `conv_out16` and `conv_out32` are heads of the training only; they exist because the weight files hold them.
    """

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256)
        self.conv_out = ParsingHead(256, 256, classes)
        self.conv_out16 = ParsingHead(128, 64, classes)
        self.conv_out32 = ParsingHead(128, 64, classes)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        at8, context8, _ = self.cp(x)
        logits = self.conv_out(self.ffm(at8, context8))
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=True)
