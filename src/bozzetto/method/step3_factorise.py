"""Step 3: view, light, depth and albedo networks move, so that one shape explains the photo and its projections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry import shade
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.chunks import Sum, back_propagated, pieces
from bozzetto.method.initialise import turned_error
from bozzetto.method.photo_loss import Shape, light_up, make_shape, photo_loss, picture_loss, target_features, twice
from bozzetto.method.problem import Problem, predict_albedo, predict_depth, predict_light, predict_view
from bozzetto.method.step1_albedo import sum_terms
from bozzetto.nets.networks import Networks

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
    """View and light from each projected sample, depth and albedo from its photo; and all of step 1's loss.

    With no samples that loss, the pull to the prior and what is known of turned pictures are all there is.
    """

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
            self.pool_wanted = self._pool_features() if samples else None

    def _pool_features(self) -> list[Tensor] | None:
        """Target features of the whole pool, [n, b, ...] each, unless they would take too much memory."""
        one = target_features(self.pool[0, :1].to(self.problem.photo), self.problem, mirror=False)
        if one is None or sum(tap.numel() for tap in one) * 4 * self.pool[:, :, 0, 0, 0].numel() > self._room():
            return None
        chunks = [
            target_features(images.to(self.problem.photo), self.problem, mirror=False)
            for images in self.pool.flatten(0, 1).split(min(CHUNK, self.problem.config.compute.chunk or CHUNK))
        ]
        taps = [torch.cat(tap) for tap in zip(*(chunk for chunk in chunks if chunk is not None), strict=True)]
        return [tap.unflatten(0, self.pool.shape[:2]) for tap in taps]

    def _room(self) -> int:
        """Bytes that the pool's features may take."""
        return self.problem.config.compute.keep_mb * 2**20

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
        if self.samples == 0:  # the photo alone
            none = torch.zeros(0, dtype=torch.long)
            photo = self.problem.photo
            return factorise_terms(self.problem, self.nets, photo[:0], none, self.mirror, None, self.photo_wanted)
        return self._whole(*self._pick(generator))

    def descend(self, generator: torch.Generator) -> dict[str, Tensor]:
        """As `loss`; with `compute.chunk` the gradients are added to the parameters', chunk by chunk."""
        problem = self.problem
        if self.samples == 0:
            return self.loss(generator)
        pick, item = self._pick(generator)
        chunk = problem.config.compute.chunk
        if not 0 < chunk < len(item):
            return self._whole(pick, item)
        parts = ((item[k], *self._targets(pick[k], item[k])) for k in pieces(len(item), chunk))
        return factorise_parts(problem, self.nets, parts, len(item), self.mirror, self.photo_wanted)

    def _whole(self, pick: Tensor, item: Tensor) -> dict[str, Tensor]:
        targets, wanted = self._targets(pick, item)
        return factorise_terms(self.problem, self.nets, targets, item, self.mirror, wanted, self.photo_wanted)

    def _targets(self, pick: Tensor, item: Tensor) -> tuple[Float[Tensor, "m 3 s s"], list[Tensor] | None]:
        """Samples of the pool, and their features for both branches."""
        targets = self.pool[pick, item].to(self.problem.photo)
        if self.pool_wanted is None:
            return targets, target_features(targets, self.problem, self.mirror)
        return targets, [twice(tap[pick, item], self.mirror) for tap in self.pool_wanted]


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

    terms = _photo_terms(nets, shape, albedo, view[:photos], light[:photos], problem, mirror, photo_wanted)
    if len(targets) == 0:
        return {"total": sum_terms(terms), **terms}
    mask = canonical_mask(problem.mask, depth.detach(), view[:photos].detach(), problem.camera)
    samples = Samples(targets, item, view[photos:], light[photos:], wanted)
    terms.update(_sample_terms(shape, albedo, mask, samples, problem, mirror))
    return {"total": sum_terms(terms), **terms}


def factorise_parts(
    problem: Problem,
    nets: Networks,
    parts: Iterable[tuple[Tensor, Float[Tensor, "k 3 s s"], list[Tensor] | None]],
    count: int,
    mirror: bool,
    photo_wanted: list[Tensor] | None = None,
) -> dict[str, Tensor]:
    """As `factorise_terms`, the samples part by part; the gradients are added to the parameters'.

    Depth and albedo are made once. What the parts want of them adds up beside them and goes on into D and A at the
    end.

    Args:
        parts: photo of each sample, samples, their features, each as in `factorise_terms`.
        count: of all samples.
    """
    made = predict_depth(nets, problem.photo, problem), predict_albedo(nets, problem.photo, problem)
    depth, albedo = (value.detach().requires_grad_() for value in made)
    view, light = predict_view(nets, problem.photo, problem), predict_light(nets, problem.photo, problem)
    mask = canonical_mask(problem.mask, depth.detach(), view.detach(), problem.camera)
    shape = make_shape(depth, problem, mirror)
    found = Sum()
    found.add(back_propagated(_photo_terms(nets, shape, albedo, view, light, problem, mirror, photo_wanted)))
    for item, targets, wanted in parts:
        own = predict_view(nets, targets, problem), predict_light(nets, targets, problem)
        samples = Samples(targets, item.to(targets.device), *own, wanted)
        terms = _sample_terms(make_shape(depth, problem, mirror), albedo, mask, samples, problem, mirror)
        found.add(back_propagated(terms, len(item) / count))
    torch.autograd.backward(made, (_gradient(depth), _gradient(albedo)))
    return found.terms()


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _photo_terms(
    nets: Networks,
    shape: Shape,
    albedo: Float[Tensor, "b 3 s s"],
    view: Float[Tensor, "b 6"],
    light: Float[Tensor, "b 4"],
    problem: Problem,
    mirror: bool,
    wanted: list[Tensor] | None,
) -> dict[str, Tensor]:
    """What does not depend on the samples: the photos out of their own factors, turned pictures, the pull to the prior.

    view, light: of the photos, as V and L see them.
    """
    own = light_up(shape, twice(view, mirror), twice(light, mirror), problem)
    terms = {f"photo_{k}": v for k, v in photo_loss(albedo, shape, own, problem, mirror, wanted).items()}
    if problem.turned is not None:
        terms["turned"] = problem.config.turn.weight * turned_error(nets, problem.turned, problem)
    weight = problem.config.loss.prior_weight
    if weight > 0 and problem.prior is not None:
        away = (shape.depth[: len(problem.photo)] - problem.prior) / problem.depth_range.half
        terms["prior"] = weight * away.square().mean()
    return terms


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
