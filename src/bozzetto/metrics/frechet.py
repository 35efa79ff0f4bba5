"""The Frechet distance between two sets of features, each taken as a normal distribution (Dowson & Landau 1982)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """|mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^(1/2)), in the features' squared unit; at least 0.

    The trace of the root is the sum of the singular values of R_a R_b^T / sqrt((n-1)(m-1)), R the centred features, so
    no covariance is built and few samples of long features are no trouble. It is not "FID" unless the features are
    that network's; name it after the network the features come from.

    Raises:
        InputError: a set has fewer than two samples.
    """
    if min(len(a), len(b)) < 2:
        raise InputError("The Frechet distance needs at least two pictures on each side.")
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(dim=0), b.mean(dim=0)
    centred_a = (a - mean_a) / (len(a) - 1) ** 0.5
    centred_b = (b - mean_b) / (len(b) - 1) ** 0.5
    root = torch.linalg.svdvals(centred_a @ centred_b.T).sum()
    spread = centred_a.square().sum() + centred_b.square().sum() - 2 * root
    return max(0.0, float((mean_a - mean_b).square().sum() + spread))
