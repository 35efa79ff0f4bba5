"""Step 3: view, light, depth and albedo networks move, so that one shape explains the photo and its projections."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry import shade
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.initialise import turned_error
from bozzetto.method.photo_loss import Shape, light_up, make_shape, photo_loss, picture_loss, twice
from bozzetto.method.problem import Problem, predict_albedo, predict_depth, predict_light, predict_view
from bozzetto.method.step1_albedo import sum_terms
from bozzetto.nets.networks import Networks

MOVES = ("view", "light", "depth", "albedo")


class FactoriseStep:
    """View and light from each projected sample, depth and albedo from its photo; and all of step 1's loss."""

    moves = MOVES

    def __init__(
        self, problem: Problem, nets: Networks, collected: Float[Tensor, "n b 3 s s"], samples: int, mirror: bool
    ) -> None:
        self.problem, self.nets, self.collected = problem, nets, collected
        self.samples, self.mirror = samples, mirror

    def draw(self, generator: torch.Generator) -> tuple[Float[Tensor, "m 3 s s"], Tensor]:
        """Np samples of each photo, without regard to what was drawn before, and their photo's index."""
        turned = self.problem.turned
        kept, photos = self.collected.shape[:2]
        from_turned = 0 if turned is None else round(self.samples * self.problem.config.turn.share)
        pick = torch.randint(kept, (photos, self.samples), generator=generator, device=generator.device).cpu()
        item = torch.arange(photos).repeat_interleave(self.samples)
        images = self.collected[pick.flatten(), item].unflatten(0, (photos, self.samples))
        if turned is not None and from_turned:
            other = torch.randint(len(turned.images), (photos, from_turned), generator=generator).flatten()
            mine = torch.arange(photos).repeat_interleave(from_turned)
            images[:, :from_turned] = turned.images.cpu()[other, mine].unflatten(0, (photos, from_turned))
        return images.flatten(0, 1), item.to(self.problem.photo.device)

    def loss(self, generator: torch.Generator) -> dict[str, Tensor]:
        problem, nets, mirror = self.problem, self.nets, self.mirror
        targets, item = self.draw(generator)
        photos = len(problem.photo)
        # One pass of V and L serves the photos and the samples: their convolutions have no batch statistics.
        seen = torch.cat((problem.photo, targets.to(problem.photo)))
        view, light = predict_view(nets, seen, problem), predict_light(nets, seen, problem)
        depth = predict_depth(nets, problem.photo, problem)
        albedo = predict_albedo(nets, problem.photo, problem)
        shape = make_shape(depth, problem, mirror)

        own = light_up(shape, twice(view[:photos], mirror), twice(light[:photos], mirror), problem)
        terms = {f"photo_{k}": v for k, v in photo_loss(albedo, shape, own, problem, mirror).items()}

        if problem.turned is not None:
            terms["turned"] = problem.config.turn.weight * turned_error(nets, problem.turned, problem)
        weights = problem.config.loss
        if weights.prior_weight > 0 and problem.prior is not None:
            away = (depth - problem.prior) / problem.depth_range.half
            terms["prior"] = weights.prior_weight * away.square().mean()
        mask = canonical_mask(problem.mask, depth.detach(), view[:photos].detach(), problem.camera)
        terms.update(self._sample_terms(shape, albedo, mask, view[photos:], light[photos:], targets, item))
        return {"total": sum_terms(terms), **terms}

    def _sample_terms(
        self, shape: Shape, albedo: Tensor, mask: Tensor, view: Tensor, light: Tensor, targets: Tensor, item: Tensor
    ) -> dict[str, Tensor]:
        problem, mirror = self.problem, self.mirror
        photos = len(problem.photo)
        if mirror:
            albedo, mask = torch.cat((albedo, albedo.flip(3))), torch.cat((mask, mask.flip(3)))
            item = torch.cat((item, item + photos))
        view, light, targets = twice(view, mirror), twice(light, mirror), twice(targets, mirror)
        sight = look(shape.depth[item], view, problem.camera, problem.depth_range, problem.config.compute.rasteriser)
        shading = shade.shading(shade.diffuse(shape.normal[item], light), light)
        seen = sample(torch.cat((albedo[item] * shading, mask[item]), 1), sight.grid)
        weight = sight.mask * seen[:, 3:].detach()
        return picture_loss(seen[:, :3], targets, weight, problem)
