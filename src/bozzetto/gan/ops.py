"""The arithmetic of StyleGAN2 as pure functions (Karras et al., CVPR 2020, "Analyzing and Improving the Image Quality
of StyleGAN"). These are the readable versions; `frozen.py` is judged against them.

Every function treats batch items independently except `minibatch_stddev`, whose purpose is to mix them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)  # keeps the second moment of the activations (paper, section 2)
BLUR_TAPS = (1.0, 3.0, 3.0, 1.0)  # the low-pass filter of every resampling, before normalisation to unit sum
DEMODULATION_EPS = 1e-8


def pixel_norm(z: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """z over its root mean square; z = 0 stays 0."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


def scaled_leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LRELU_SLOPE) * LRELU_GAIN


def blur_kernel(gain: float = 1.0, like: Tensor | None = None) -> Float[Tensor, "4 4"]:
    """The two-dimensional [1, 3, 3, 1] filter, summing to `gain`."""
    taps = torch.tensor(BLUR_TAPS, dtype=torch.float32) if like is None else like.new_tensor(BLUR_TAPS)
    kernel = torch.outer(taps, taps)
    return kernel * (gain / kernel.sum())


def blur(x: Float[Tensor, "b c h w"], pad: tuple[int, int], gain: float = 1.0) -> Float[Tensor, "b c h2 w2"]:
    """Low-pass filter every channel after padding `pad` = (before, after) zeros on both axes."""
    channels = x.shape[1]
    kernel = blur_kernel(gain, x).expand(channels, 1, 4, 4)
    return F.conv2d(F.pad(x, (*pad, *pad)), kernel, groups=channels)


def upsample2(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
    """Twice the size: zeros between the pixels, then the filter with gain 4."""
    channels = x.shape[1]
    kernel = blur_kernel(4.0, x).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)


def downsample2(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h/2 w/2"]:
    """Half the size: the filter, then every second pixel."""
    channels = x.shape[1]
    kernel = blur_kernel(1.0, x).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=channels)


def modulated_conv(
    x: Float[Tensor, "b cin h w"],
    weight: Float[Tensor, "cout cin k k"],
    style: Float[Tensor, "b cin"],
    *,
    demodulate: bool = True,
    up: bool = False,
    eps: float = DEMODULATION_EPS,
) -> Float[Tensor, "b cout h2 w2"]:
    """Convolution with one weight per item: w'_ijk = s_i w_ijk, over its norm (paper, equations 1 and 3).

    `weight` is the effective weight (equalised-rate gain already applied). With `up` the output is twice the size:
    transposed convolution of stride 2, then the blur.
    """
    b, cin, h, w = x.shape
    cout, _, k, _ = weight.shape
    modulated = weight[None] * style[:, None, :, None, None]  # [b, cout, cin, k, k]
    if demodulate:
        norm = torch.rsqrt(modulated.square().sum(dim=(2, 3, 4), keepdim=True) + eps)
        modulated = modulated * norm
    grouped = x.reshape(1, b * cin, h, w)
    if not up:
        out = F.conv2d(grouped, modulated.reshape(b * cout, cin, k, k), padding=k // 2, groups=b)
        return out.view(b, cout, h, w)
    kernels = modulated.transpose(1, 2).reshape(b * cin, cout, k, k)
    out = F.conv_transpose2d(grouped, kernels, stride=2, groups=b)
    out = out.view(b, cout, out.shape[2], out.shape[3])
    before = (4 - 2 - (k - 1) + 1) // 2 + 1  # keeps the output centred for kernels of 3 (and 1)
    return blur(out, (before, 2 * h + 3 - out.shape[2] - before), gain=4.0)


def clamped(x: Tensor, bound: float | None) -> Tensor:
    """x cut off at +-bound; None: as it is."""
    return x if bound is None else x.clamp(-bound, bound)


def minibatch_stddev(x: Float[Tensor, "b c h w"], group: int, channels: int = 1) -> Float[Tensor, "b _ h w"]:
    """Append the standard deviation over groups of items as more channels (Karras et al. 2018, section 3).

    channels: how many: each is the mean over its share of the channels of x (0: none are appended).

    THIS MIXES ITEMS. The group is the largest divisor of b that is at most `group`, so any batch size works; items
    i, i + b/group, ... form a group. `group=1` appends the constant sqrt(1e-8) and keeps the items independent.
    """
    b, c, h, w = x.shape
    if channels == 0:
        return x
    size = max(g for g in range(1, min(group, b) + 1) if b % g == 0)
    deviation = torch.sqrt(x.view(size, b // size, channels, c // channels, h, w).var(dim=0, correction=0) + 1e-8)
    mean = deviation.mean(dim=(2, 3, 4)).view(-1, channels, 1, 1).repeat(size, 1, h, w)
    return torch.cat([x, mean], dim=1)
