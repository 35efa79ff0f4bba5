"""How far pictures and their factors are from the true ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.metrics.depth import masked_mean


def psnr_db(
    prediction: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio over a mask, decibels, one number per item:

        PSNR = -10 log10 < (x - y)^2 >   over masked pixels and channels, images in [0, 1].

    Returns:
        [B]; infinite for equal pictures, NaN for an empty mask.
    """
    return -10 * torch.log10(masked_mean((prediction - truth) ** 2, mask))


def relative_error_up_to_scale(
    prediction: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    """What is left of the difference once the best factor k has been taken out, as a share of the truth:

        E = min over k >= 0 of |k x - y| / |y|,   k = max(0, x.y / x.x),

    the norms over the masked pixels and all channels. One factor for everything, colours included: albedo and the
    strength of a light are known as a product only. For vectors at an angle t below 90 degrees E = sin t.

    Returns:
        [B] in [0, 1]; 0 for any multiple of the truth, 1 for a black picture, NaN where the truth is black.

    Source: Grosse et al. 2009, scale-invariant squared error over that of a black picture; root taken, whole picture.
    """
    counted = mask > 0
    zero = torch.zeros((), dtype=torch.float64, device=prediction.device)
    weight = mask.double()
    x, y = (torch.where(counted, picture.double(), zero) for picture in (prediction, truth))

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b * weight).flatten(1).sum(1)

    factor = (dot(x, y) / dot(x, x).clamp_min(torch.finfo(torch.float64).tiny)).clamp_min(0)
    rest = factor[:, None, None, None] * x - y
    return (dot(rest, rest) / dot(y, y)).sqrt().to(prediction.dtype)
