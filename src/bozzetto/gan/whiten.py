"""Coordinates of w in which random latents are close to a standard normal cloud.

The last leaky ReLU of the mapping is undone, then mean and principal axes are taken out (the P_N space of Zhu et al.
2020, "Improved StyleGAN Embedding: Where are the Good Latents?"). The squared length over d is a distance to the data:
about 1 for a typical latent, 0 for the middle. Going there and back is exact for any w.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan.generator import Gan
from bozzetto.gan.ops import LRELU_SLOPE

SAMPLES = 4096
FLOOR = 1e-3  # smallest axis, of the largest: keeps the map invertible where the cloud is flat


@dataclass(frozen=True)
class Whitening:
    """w = lrelu(mean + v axes), w and v of shape [..., d]."""

    mean: Float[Tensor, " d"]  # of the undone activations
    axes: Float[Tensor, "d d"]  # rows: principal axes, one standard deviation long
    inverse: Float[Tensor, "d d"]

    def to_w(self, v: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return F.leaky_relu(self.mean + v @ self.axes, LRELU_SLOPE)

    def from_w(self, w: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return (F.leaky_relu(w, 1 / LRELU_SLOPE) - self.mean) @ self.inverse


def whitening(gan: Gan, samples: int = SAMPLES) -> Whitening:
    """Whitening from `samples` latents of random z."""
    x = F.leaky_relu(gan.w_samples(samples), 1 / LRELU_SLOPE).double().cpu()
    mean = x.mean(dim=0)
    variance, columns = torch.linalg.eigh(torch.cov(x.t()))
    deviation = variance.flip(0).clamp(min=0).sqrt()  # largest first
    deviation = deviation.clamp(min=float(deviation[0]) * FLOOR)
    axes = columns.t().flip(0)
    forward, backward = deviation[:, None] * axes, axes.t() / deviation
    return Whitening(*(t.float().to(gan.device) for t in (mean, forward, backward)))
