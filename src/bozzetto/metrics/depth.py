"""How far a depth map is from the truth when its overall scale does not count."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def scale_invariant_depth_error(
    prediction: Float[Tensor, "b 1 h w"],
    truth: Float[Tensor, "b 1 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """Scale-invariant depth error (SIDE), one number per item.

    With d = log(prediction) - log(truth) and the mean <.> over the masked pixels,

        SIDE = sqrt(<d^2> - <d>^2),

    so a prediction that is wrong by one factor everywhere scores 0. Tables show SIDE x 100.
    The variance is taken about the mean, not as a difference of two means, because the two
    nearly cancel in float32. Values outside the mask may be anything, NaN included.

    Args:
        prediction, truth: depths, scene units, positive on the mask.
        mask: 1 where a pixel counts, 0 elsewhere; fractions weigh a pixel.

    Returns:
        [B], NaN for an item whose mask is empty.

    Source: Eigen et al. 2014 (scale-invariant error, square root taken); Wu et al. 2020 (unsup3d).
    """
    counted = mask > 0
    one = torch.ones((), dtype=prediction.dtype, device=prediction.device)
    difference = torch.log(torch.where(counted, prediction, one)) - torch.log(torch.where(counted, truth, one))
    mean = masked_mean(difference, mask)
    return masked_mean((difference - mean[:, None, None, None]) ** 2, mask).sqrt()


def masked_mean(values: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """Mean over the masked pixels (and all channels) of each item; NaN where the mask is empty.

    Accumulated in float64: a sum over 65,536 float32 pixels would cost the last digits of a small error.
    """
    weight = mask.double()
    inside = torch.where(weight > 0, values.double(), torch.zeros((), dtype=torch.float64, device=values.device))
    total = (inside * weight).flatten(1).sum(1)
    return (total / (weight.flatten(1).sum(1) * values.shape[1])).to(values.dtype)
