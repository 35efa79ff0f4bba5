"""The resampling of NVIDIA's networks from its definition alone, in float64 NumPy loops: what our layers are judged by.

Zeros between the pixels, padding, a true convolution (the filter turned by half a turn), every n-th pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def convolve(x: Array, kernel: Array) -> Array:
    """True convolution [h, w] * [k, l] where the kernel lies wholly inside."""
    k, m = kernel.shape
    out = np.zeros((x.shape[0] - k + 1, x.shape[1] - m + 1))
    for i in range(k):
        for j in range(m):
            out += kernel[k - 1 - i, m - 1 - j] * x[i : i + out.shape[0], j : j + out.shape[1]]
    return out


def upfirdn(
    x: Array, kernel: Array, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1
) -> Array:
    """[h, w]; pad: before and after on both axes, negative to cut off."""
    wide = np.zeros((x.shape[0] * up, x.shape[1] * up))
    wide[::up, ::up] = x
    wide = np.pad(wide, [(max(pad[0], 0), max(pad[1], 0))] * 2)
    wide = wide[max(-pad[0], 0) :, max(-pad[0], 0) :]
    wide = wide[: wide.shape[0] - max(-pad[1], 0), : wide.shape[1] - max(-pad[1], 0)]
    return convolve(wide, kernel * gain)[::down, ::down]


def convolution(x: Array, weight: Array, turned: bool) -> Array:
    """[cin, h, w] and [cout, cin, k, k] -> [cout, h - k + 1, w - k + 1]; turned: true convolution, else correlation."""
    kernels = weight if turned else weight[:, :, ::-1, ::-1]
    return np.stack([sum(convolve(plane, k) for plane, k in zip(x, row, strict=True)) for row in kernels])


BINOMIAL = np.outer([1.0, 3, 3, 1], [1.0, 3, 3, 1]) / 64


def up_convolution(x: Array, weight: Array, pad: int) -> Array:
    """Twice the size: zeros between, filter of gain 4, true convolution; pad is that of the convolution."""
    wide = np.stack([upfirdn(p, BINOMIAL, up=2, pad=(pad + 2, pad + 1), gain=4) for p in x])
    return convolution(wide, weight, turned=True)


def down_convolution(x: Array, weight: Array, pad: int) -> Array:
    """Half the size: filter, correlation, every second pixel."""
    soft = np.stack([upfirdn(p, BINOMIAL, pad=(pad + 1, pad + 1)) for p in x])
    return convolution(soft, weight, turned=False)[:, ::2, ::2]
