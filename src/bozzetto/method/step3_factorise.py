"""Step 3: view, light, depth and albedo networks move, so that one shape explains the photo and its projections."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry import shade
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.initialise import turned_error
from bozzetto.method.photo_loss import Shape, light_up, make_shape, photo_loss, picture_loss, target_features, twice
from bozzetto.method.problem import Problem, predict_albedo, predict_depth, predict_light, predict_view
from bozzetto.method.step1_albedo import sum_terms
from bozzetto.nets.networks import Networks

FEATURES_MAX_BYTES = 512 * 2**20  # of target features kept for a phase; beyond, they are computed every time
CHUNK = 16  # samples whose features are computed at once
MOVES = ("view", "light", "depth", "albedo")


class Samples(NamedTuple):
    """Pictures of the photos' objects under other views and lights, with what V and L see in them."""

    images: Float[Tensor, "m 3 s s"]
    item: Tensor  # [m] index of the photo
    view: Float[Tensor, "m 6"]
    light: Float[Tensor, "m 4"]
    wanted: list[Tensor] | None  # features, for both branches


class FactoriseStep:
    """View and light from each projected sample, depth and albedo from its photo; and all of step 1's loss."""

    moves = MOVES

    def __init__(
        self, problem: Problem, nets: Networks, collected: Float[Tensor, "n b 3 s s"], samples: int, mirror: bool
    ) -> None:
        self.problem, self.nets = problem, nets
        self.samples, self.mirror = samples, mirror
        self.kept = len(collected)
        turned = problem.turned
        # What samples are drawn from: the projected ones, then the turned pictures.
        self.pool = collected if turned is None else torch.cat((collected, turned.images.to(collected)))
        self.photo_wanted = self.pool_wanted = None
        if problem.config.compute.reuse:
            self.photo_wanted = target_features(problem.photo, problem, mirror)
            self.pool_wanted = self._pool_features()

    def _pool_features(self) -> list[Tensor] | None:
        """Target features of the whole pool, [n, b, ...] each, unless they would take too much memory."""
        one = target_features(self.pool[0, :1].to(self.problem.photo), self.problem, mirror=False)
        if one is None or sum(tap.numel() for tap in one) * 4 * self.pool[:, :, 0, 0, 0].numel() > FEATURES_MAX_BYTES:
            return None
        chunks = [
            target_features(images.to(self.problem.photo), self.problem, mirror=False)
            for images in self.pool.flatten(0, 1).split(CHUNK)
        ]
        taps = [torch.cat(tap) for tap in zip(*(chunk for chunk in chunks if chunk is not None), strict=True)]
        return [tap.unflatten(0, self.pool.shape[:2]) for tap in taps]

    def _pick(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Positions in the pool and photos, Np for each photo, without regard to what was drawn before."""
        turned, photos = self.problem.turned, self.pool.shape[1]
        from_turned = 0 if turned is None else round(self.samples * self.problem.config.turn.share)
        pick = torch.randint(self.kept, (photos, self.samples), generator=generator, device=generator.device)
        if turned is not None and from_turned:
            count = (photos, from_turned)
            other = torch.randint(len(turned.images), count, generator=generator, device=generator.device)
            pick[:, :from_turned] = self.kept + other
        return pick.flatten().cpu(), torch.arange(photos).repeat_interleave(self.samples)

    def draw(self, generator: torch.Generator) -> tuple[Float[Tensor, "m 3 s s"], Tensor]:
        """Np samples of each photo and their photo's index."""
        pick, item = self._pick(generator)
        return self.pool[pick, item], item.to(self.problem.photo.device)

    def loss(self, generator: torch.Generator) -> dict[str, Tensor]:
        problem, nets, mirror = self.problem, self.nets, self.mirror
        pick, item = self._pick(generator)
        targets = self.pool[pick, item].to(problem.photo)
        if self.pool_wanted is None:
            wanted = target_features(targets, problem, mirror)
        else:
            wanted = [twice(tap[pick, item], mirror) for tap in self.pool_wanted]
        return factorise_terms(problem, nets, targets, item, mirror, wanted, self.photo_wanted)


def factorise_terms(
    problem: Problem,
    nets: Networks,
    targets: Float[Tensor, "m 3 s s"],
    item: Tensor,
    mirror: bool,
    wanted: list[Tensor] | None = None,
    photo_wanted: list[Tensor] | None = None,
) -> dict[str, Tensor]:
    """Step 3's losses on these samples, weighted; "total" is their sum.

    Args:
        targets: samples of the photos, [0, 1].
        item: [m], the photo of each sample.
        wanted, photo_wanted: features of samples and photos for both branches, where they are known already.
    """
    item = item.to(problem.photo.device)
    photos = len(problem.photo)
    # One pass of V and L serves the photos and the samples: their convolutions have no batch statistics.
    seen = torch.cat((problem.photo, targets))
    view, light = predict_view(nets, seen, problem), predict_light(nets, seen, problem)
    depth = predict_depth(nets, problem.photo, problem)
    albedo = predict_albedo(nets, problem.photo, problem)
    shape = make_shape(depth, problem, mirror)

    own = light_up(shape, twice(view[:photos], mirror), twice(light[:photos], mirror), problem)
    terms = {f"photo_{k}": v for k, v in photo_loss(albedo, shape, own, problem, mirror, photo_wanted).items()}

    if problem.turned is not None:
        terms["turned"] = problem.config.turn.weight * turned_error(nets, problem.turned, problem)
    weights = problem.config.loss
    if weights.prior_weight > 0 and problem.prior is not None:
        away = (depth - problem.prior) / problem.depth_range.half
        terms["prior"] = weights.prior_weight * away.square().mean()
    mask = canonical_mask(problem.mask, depth.detach(), view[:photos].detach(), problem.camera)
    samples = Samples(targets, item, view[photos:], light[photos:], wanted)
    terms.update(_sample_terms(shape, albedo, mask, samples, problem, mirror))
    return {"total": sum_terms(terms), **terms}


def _sample_terms(
    shape: Shape,
    albedo: Float[Tensor, "b 3 s s"],
    mask: Float[Tensor, "b 1 s s"],
    samples: Samples,
    problem: Problem,
    mirror: bool,
) -> dict[str, Tensor]:
    """The samples out of their photos' depth and albedo, under the views and lights that V and L see in them."""
    item = samples.item
    if mirror:
        item = torch.cat((item, item + len(problem.photo)))
        albedo, mask = torch.cat((albedo, albedo.flip(3))), torch.cat((mask, mask.flip(3)))
    view, light, targets = (twice(t, mirror) for t in (samples.view, samples.light, samples.images))
    sight = look(shape.depth[item], view, problem.camera, problem.depth_range, problem.config.compute.rasteriser)
    shading = shade.shading(shade.diffuse(shape.normal[item], light), light)
    seen = sample(torch.cat((albedo[item] * shading, mask[item]), 1), sight.grid)
    weight = sight.mask * seen[:, 3:].detach()
    return picture_loss(seen[:, :3], targets, weight, problem, samples.wanted)
