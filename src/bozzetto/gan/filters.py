"""Low-pass filters and the filtered nonlinearity of StyleGAN3 (Karras et al., NeurIPS 2021, "Alias-Free Generative
Adversarial Networks", section 3 and appendix C), in plain torch and therefore differentiable to any order.

Frequencies are in cycles, rates in samples, across the width of the image.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan import ops


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """Shape of the Kaiser window whose filter of `taps` falls off over `width` (Kaiser's formulae)."""
    attenuation = 2.285 * (taps - 1) * math.pi * (2 * width / rate) + 7.95  # dB
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def lowpass(taps: int, cutoff: float, width: float, rate: float) -> Float[Tensor, " taps"]:
    """Kaiser-windowed sinc of unit sum: half amplitude at `cutoff`, a transition band `width` across (appendix C)."""
    time = (np.arange(taps) - (taps - 1) / 2) / rate
    ideal = np.sinc(2 * cutoff * time) * np.kaiser(taps, kaiser_beta(taps, width, rate))
    return torch.from_numpy(ideal / ideal.sum()).float()


def radial_lowpass(taps: int, cutoff: float, width: float, rate: float) -> Float[Tensor, "taps taps"]:
    """The same for every direction: jinc under the product of two Kaiser windows, unit sum (appendix C)."""
    time = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = torch.from_numpy(np.hypot(time[:, None], time[None]))
    jinc = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / (math.pi * radius)
    jinc[radius == 0] = cutoff  # the limit
    window = np.kaiser(taps, kaiser_beta(taps, width, rate))
    ideal = jinc * torch.from_numpy(np.outer(window, window))
    return (ideal / ideal.sum()).float()


Pad = tuple[int, int]  # before and after, on both axes; negative values cut off


def upsample(
    x: Float[Tensor, "b c h w"], taps: Float[Tensor, " t"] | Float[Tensor, "t t"] | None, factor: int, pad: Pad
) -> Float[Tensor, "b c h2 w2"]:
    """`factor` - 1 zeros after every pixel, `pad` more around, then the filter, scaled by factor^2. None: no filter.

    A filter of t taps makes the picture t - 1 smaller, so h2 = factor h + sum(pad) - t + 1.
    """
    filters = [x.new_ones(1, 1)] if taps is None else _axes(taps, x)
    length = 1 if taps is None else taps.shape[-1]
    channels, height, width = x.shape[1:]
    for kernel in filters:
        stride = [factor if n > 1 or len(filters) == 1 else 1 for n in kernel.shape]
        kernel = kernel * math.prod(stride)
        x = F.conv_transpose2d(x, _every(kernel, channels), stride=stride, groups=channels)
    # The transposed convolution is the whole one: length - 1 pixels of padding are in it, trailing zeros are not.
    before = pad[0] - (length - 1)
    after = [
        factor * n + sum(pad) - length + 1 - out - before for n, out in zip((height, width), x.shape[2:], strict=True)
    ]
    return F.pad(x, (before, after[1], before, after[0]))


def downsample(
    x: Float[Tensor, "b c h w"], taps: Float[Tensor, " t"] | Float[Tensor, "t t"] | None, factor: int
) -> Float[Tensor, "b c h2 w2"]:
    """The filter where it fits wholly inside, then every `factor`-th pixel. None: no filter."""
    if taps is None:
        return x[:, :, ::factor, ::factor]
    filters = _axes(taps.flip(tuple(range(taps.ndim))), x)  # a convolution, where torch's is a correlation
    for kernel in filters:
        stride = [factor if n > 1 or len(filters) == 1 else 1 for n in kernel.shape]
        x = F.conv2d(x, _every(kernel, x.shape[1]), stride=stride, groups=x.shape[1])
    return x


def _every(kernel: Float[Tensor, "h w"], channels: int) -> Float[Tensor, "c 1 h w"]:
    """The kernel for every channel; a true copy each, because oneDNN is many times slower with an expanded view."""
    return kernel.repeat(channels, 1, 1, 1)


def _axes(taps: Tensor, like: Tensor) -> list[Float[Tensor, "_ _"]]:
    """The kernels that one filter is: along x and along y where it is separable, itself where it is not."""
    taps = taps.to(like.dtype)
    return [taps[None], taps[:, None]] if taps.ndim == 1 else [taps]


def filtered_leaky_relu(
    x: Float[Tensor, "b c h w"],
    up_taps: Tensor | None,
    down_taps: Tensor | None,
    up: int,
    down: int,
    pad: Pad,
    slope: float,
    gain: float,
    clamp: float | None,
) -> Float[Tensor, "b c h2 w2"]:
    """Leaky ReLU at a higher rate, so that what it adds above the band can be filtered off (section 3, figure 4).

    pad: as in `upsample`. The clamp is one of gain times leaky ReLU; the gain itself is applied where there are fewer
    pixels.
    """
    x = F.leaky_relu(upsample(x, up_taps, up, pad), slope)
    return downsample(ops.clamped(x, None if clamp is None else clamp / gain), down_taps, down) * gain
