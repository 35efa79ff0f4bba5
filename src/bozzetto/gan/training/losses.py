"""The losses of StyleGAN2's training (Karras et al. 2020, section 3.2 and appendix B), each as a pure function."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Judge = Callable[[Float[Tensor, "b 3 s s"]], Float[Tensor, "b 1"]]


def generator_loss(fake: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """Non-saturating: -log sigmoid(D(G(z))), the mean."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Float[Tensor, "b 1"], fake: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))), the mean."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1_penalty(judge: Judge, real: Float[Tensor, "b 3 s s"]) -> Float[Tensor, ""]:
    """Mean squared norm of the gradient of D at real images (Mescheder et al. 2018); differentiable in D's weights."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(
    image: Float[Tensor, "b 3 s s"], w: Float[Tensor, "b l d"], noise: Float[Tensor, "b 3 s s"]
) -> Float[Tensor, " b"]:
    """|J_w^T y| of each image, y the noise over the image's side; root of the mean square over layers (appendix B)."""
    size = image.shape[-1]
    (gradient,) = torch.autograd.grad((image * noise).sum() / size, w, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_penalty(
    lengths: Float[Tensor, " b"], mean: Float[Tensor, ""], decay: float = 0.01
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean squared distance of the lengths from their running mean, and that mean, moved on."""
    moved = mean + decay * (lengths.mean().detach() - mean)
    return (lengths - moved).square().mean(), moved


def r1_weight_default(size: int, batch: int) -> float:
    """R1 weight for a size and batch: 0.0002 px^2 / batch, the official code's rule, but not under 0.1."""
    return max(0.1, 0.0002 * size * size / batch)


def ema_decay(batch: int, half_life_images: float) -> float:
    """Decay a step that halves a weight's share after so many images."""
    return math.pow(0.5, batch / max(half_life_images, 1e-8))
