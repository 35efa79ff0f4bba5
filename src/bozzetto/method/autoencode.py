"""Photo-geometric autoencoding: each picture out of its own depth, albedo, view and light, and out of their mirror.

What a single photo leaves open, form or paint, many pictures of a kind do not: one set of networks has to explain all
of them, under all their lights and turns, by objects that are even to both sides. It needs no latents, and projects
nothing.
Source: Wu, Rupprecht, Vedaldi, "Unsupervised Learning of Probably Symmetric Deformable 3D Objects from Images in the
Wild", CVPR 2020; here without its confidence maps and its perceptual loss, and inside the object's mask.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.losses.photometric import photometric
from bozzetto.losses.smoothness import smoothness
from bozzetto.method.photo_loss import light_up, make_shape, paint, twice
from bozzetto.method.problem import Problem, predict
from bozzetto.method.step1_albedo import sum_terms
from bozzetto.nets.networks import Networks

MOVES = ("view", "light", "depth", "albedo")
FIRST = ("albedo",)  # where there is no albedo network yet


def autoencode_terms(
    problem: Problem, nets: Networks, mirror_weight: float, smooth_depth_weight: float
) -> dict[str, Tensor]:
    """The losses on the problem's photos, weighted; "total" is their sum.

    L1 of the picture inside the mask (images on the papers' scale of 2) + mirror_weight x the same for the picture
    whose depth and albedo are mirrored, under the photo's own view and light + smooth_depth_weight x the mean absolute
    second difference of the depth.
    """
    factors = predict(nets, problem)
    count = len(problem.photo)
    lit = light_up(
        make_shape(factors.depth, problem, mirror=True), twice(factors.view, True), twice(factors.light, True), problem
    )
    image = paint(torch.cat((factors.albedo, factors.albedo.flip(3))), lit)
    error = photometric(image, twice(problem.photo, True), lit.sight.mask * twice(problem.mask, True))
    terms = {
        "l1": error[:count].mean(),
        "mirror": mirror_weight * error[count:].mean(),
        "smooth_depth": smooth_depth_weight * smoothness(factors.depth).mean(),
    }
    return {"total": sum_terms(terms), **terms}


def batch_of(count: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which pictures an iteration takes, with repeats, and which of them are mirrored: [batch] long and bool."""
    return torch.randint(count, (batch,), generator=generator), torch.rand(batch, generator=generator) < 0.5


def mirrored(pictures: Float[Tensor, "b c s s"], which: Tensor) -> Float[Tensor, "b c s s"]:
    """Pictures, some of them mirrored."""
    return torch.where(which[:, None, None, None], pictures.flip(3), pictures)
