"""The loss of step 1, which step 3 keeps: the photo must come out of its own factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry import shade
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.render import Sight, look
from bozzetto.geometry.warp import sample
from bozzetto.losses.photometric import photometric
from bozzetto.losses.smoothness import smoothness
from bozzetto.method.problem import Problem


@dataclass(frozen=True)
class Shape:
    """A depth with what follows from it alone; with the mirror branch the mirrored half comes second."""

    depth: Float[Tensor, "b 1 s s"]
    normal: Float[Tensor, "b 3 s s"]


def make_shape(depth: Float[Tensor, "b 1 s s"], problem: Problem, mirror: bool) -> Shape:
    if mirror:
        depth = torch.cat((depth, depth.flip(3)))
    return Shape(depth, normals(depth, problem.camera))


@dataclass(frozen=True)
class Lit:
    """Everything of a rendering but the albedo."""

    sight: Sight
    diffuse: Float[Tensor, "b 1 s s"]
    shading: Float[Tensor, "b 1 s s"]


def light_up(shape: Shape, view: Float[Tensor, "b 6"], light: Float[Tensor, "b 4"], problem: Problem) -> Lit:
    """Shape, view and light (one each) to shading and sampling grid."""
    sight = look(shape.depth, view, problem.camera, problem.depth_range, problem.config.compute.rasteriser)
    diffuse = shade.diffuse(shape.normal, light)
    return Lit(sight, diffuse, shade.shading(diffuse, light))


def paint(albedo: Float[Tensor, "n 3 s s"], lit: Lit) -> Float[Tensor, "b 3 s s"]:
    """The picture of a lit shape with this albedo, in its view."""
    return sample(albedo * lit.shading, lit.sight.grid)


def twice(tensor: Tensor, mirror: bool) -> Tensor:
    """The batch once more behind itself when there is a mirror branch."""
    return torch.cat((tensor, tensor)) if mirror else tensor


def picture_loss(
    image: Float[Tensor, "b 3 s s"],
    target: Float[Tensor, "b 3 s s"],
    mask: Float[Tensor, "b 1 s s"],
    problem: Problem,
    wanted: list[Tensor] | None = None,
) -> dict[str, Tensor]:
    """L1 + weight x perceptual over a mask; `wanted` are the target's features where they are known."""
    terms = {"l1": photometric(image, target, mask).mean()}
    weight = problem.config.loss.perceptual_weight
    if problem.perceptual is not None and weight > 0:
        if wanted is None:
            distance = problem.perceptual(image, target, mask)
        else:
            distance = problem.perceptual.compare(image, target, mask, wanted)
        terms["perceptual"] = weight * distance.mean()
    return terms


@torch.no_grad()
def target_features(targets: Float[Tensor, "n 3 s s"], problem: Problem, mirror: bool) -> list[Tensor] | None:
    """Features of targets for `picture_loss`, for both branches; None where the loss does not compare any."""
    if problem.perceptual is None or problem.config.loss.perceptual_weight == 0:
        return None
    return [twice(tap, mirror) for tap in problem.perceptual.features(targets)]


def photo_loss(
    albedo: Float[Tensor, "n 3 s s"],
    shape: Shape,
    lit: Lit,
    problem: Problem,
    mirror: bool,
    wanted: list[Tensor] | None = None,
) -> dict[str, Tensor]:
    """Step 1's terms: the photo on visible pixels, and smoothness of depth and diffuse shading.

    `wanted` are the photos' features where they are known.
    """
    weights = problem.config.loss
    if mirror:
        albedo = torch.cat((albedo, albedo.flip(3)))
    photo, mask = twice(problem.photo, mirror), lit.sight.mask
    if weights.mask_photo:
        mask = mask * twice(problem.mask, mirror)
    terms = picture_loss(paint(albedo, lit), photo, mask, problem, wanted)
    terms["smooth_depth"] = weights.smooth_depth_weight * smoothness(shape.depth).mean()
    terms["smooth_light"] = weights.smooth_light_weight * smoothness(lit.diffuse).mean()
    return terms
