"""Step 2: pseudo images of the current shape under new views and lights, projected onto the generator's images.

Only the offset encoder moves: w' = w + f(E(I') - E(G(w)) + c_h) - c_w, where f is the mapping network's last layers
and c_h, c_w are what the mapping network gives before and after them at z = 0 (Pan, Eq. 3 and 4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bozzetto.gan.generator import Gan
from bozzetto.geometry import shade
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.losses.discriminator import DiscriminatorFeatures
from bozzetto.losses.latent import latent_norm
from bozzetto.losses.photometric import photometric
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.initialise import known_error, turned_error
from bozzetto.method.problem import Problem, door, predict, predict_light, predict_view
from bozzetto.method.step1_albedo import sum_terms
from bozzetto.nets.networks import Networks
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.types import Factors


class Pseudo(NamedTuple):
    """Renderings of the current factors that no camera took."""

    images: Float[Tensor, "m 3 s s"]  # [0, 1] up to strong lights
    mask: Float[Tensor, "m 1 s s"]  # visible and of the object
    item: Tensor  # [m] index of the photo
    view: Float[Tensor, "m 6"]
    light: Float[Tensor, "m 4"]


@torch.no_grad()
def tail_ends(gan: Gan, layers: int) -> tuple[Float[Tensor, "1 d"], Float[Tensor, "1 d"]]:
    """c_h and c_w: what the mapping network gives before and after its last layers at z = 0."""
    before = gan.mapping_head(torch.zeros((1, gan.info.z_dim), device=gan.device), layers)
    return before, gan.mapping_tail(before, layers)


def offsets(
    encoder: OffsetEncoder,
    images: Float[Tensor, "m 3 s s"],
    own: Float[Tensor, "b 3 s s"] | None,
    item: Int64[Tensor, "m"],
) -> Float[Tensor, "m d"]:
    """E of images in [0, 1], less E of the generator's own picture of their photo where one is given."""
    if own is None:
        return encoder(door(images)).float()
    both = encoder(door(torch.cat((images, own)))).float()
    return both[: len(images)] - both[len(images) :][item]


class ProjectStep:
    """Draws, renders and projects Np pseudo images of every photo."""

    def __init__(self, problem: Problem, nets: Networks, samples: int) -> None:
        self.problem, self.nets, self.samples = problem, nets, samples
        self.features = DiscriminatorFeatures(problem.gan, problem.config.loss.feature_blocks)
        self.fixed = self._fixed() if problem.config.compute.reuse else None
        self.tail = problem.config.project.tail_layers

    @torch.no_grad()
    def _fixed(self) -> tuple[Factors, Tensor, Tensor, Tensor, Tensor, Tensor]:
        problem = self.problem
        factors = predict(self.nets, problem)
        mask = canonical_mask(problem.mask, factors.depth, factors.view, problem.camera)
        normal = normals(factors.depth, problem.camera)
        before, after = tail_ends(problem.gan, problem.config.project.tail_layers)
        own = problem.gan.image_from_w(problem.latent) / 2 + 0.5
        return factors, mask, normal, before, after, own

    def _shape(self) -> tuple[Factors, Tensor, Tensor]:
        """Factors of the photos as the networks have them now, canonical mask and normals."""
        problem = self.problem
        factors, mask, normal, *_ = self.fixed or self._fixed()
        if self.fixed and problem.config.project.teach:  # V and L move: what they say is not fixed
            view = predict_view(self.nets, problem.photo, problem)
            factors = replace(factors, view=view, light=predict_light(self.nets, problem.photo, problem))
            mask = canonical_mask(problem.mask, factors.depth, view, problem.camera)
        return factors, mask, normal

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> Pseudo:
        """Np pseudo images of each photo under drawn views and lights."""
        problem = self.problem
        factors, mask, normal = self._shape()
        count, photos = self.samples, len(problem.photo)
        device = problem.photo.device
        item = torch.arange(photos, device=device).repeat_interleave(count)
        view = problem.scenes.views.draw(photos * count, problem.view_scale, generator).to(device)
        light = problem.scenes.lights.draw(factors.light[item], generator)
        depth, albedo = factors.depth, factors.albedo
        if photos > 1:
            depth, albedo, normal, mask = depth[item], albedo[item], normal[item], mask[item]
        sight = look(depth, view, problem.camera, problem.depth_range, problem.config.compute.rasteriser)
        shading = shade.shading(shade.diffuse(normal, light), light)
        seen = sample(torch.cat((albedo * shading, mask.expand(len(view), -1, -1, -1)), 1), sight.grid)
        return Pseudo(seen[:, :3].clamp(0, 1), seen[:, 3:] * sight.mask, item, view, light)

    def project(self, pseudo: Pseudo) -> tuple[Float[Tensor, "m 3 s s"], Float[Tensor, "m d"]]:
        """The generator's pictures nearest to pseudo images as far as E knows, [0, 1]; and the offsets."""
        problem = self.problem
        *_, before, after, own = self.fixed or self._fixed()
        with problem.autocast():
            relative = problem.config.project.relative
            offset = offsets(self.nets.offset, pseudo.images, own if relative else None, pseudo.item)
        moved = problem.gan.mapping_tail(offset + before, self.tail) - after
        w = problem.latent[pseudo.item] + moved[:, None]
        return problem.gan.image_from_w(w) / 2 + 0.5, offset

    def loss(self, generator: torch.Generator) -> dict[str, Tensor]:
        pseudo = self.draw(generator)
        found, offset = self.project(pseudo)
        terms = {
            "l1": photometric(found, pseudo.images, pseudo.mask).mean(),
            "features": self._feature_distance(found, pseudo),
            "offset": self.problem.config.loss.offset_weight * latent_norm(offset).mean(),
        }
        project = self.problem.config.project
        if project.teach:
            known = known_error(self.nets, pseudo.images, pseudo.view, pseudo.light, self.problem)
            terms["teach"] = project.teach_weight * known
            if self.problem.turned is not None:
                known = turned_error(self.nets, self.problem.turned, self.problem)
                terms["turned"] = self.problem.config.turn.weight * known
        return {"total": sum_terms(terms), **terms}

    def _feature_distance(self, found: Tensor, pseudo: Pseudo) -> Tensor:
        """Features of the found picture against those of the pseudo image laid over it: outside the mask they agree."""
        laid = found.detach() + (pseudo.images - found.detach()) * pseudo.mask
        with torch.no_grad():
            wanted = self.features.features(laid)
        return self.features.between(self.features.features(found), wanted, pseudo.mask).mean()

    @torch.no_grad()
    def collect(self, generator: torch.Generator) -> Tensor:
        """One more batch of projected samples, [0, 1], photo by photo."""
        found, _ = self.project(self.draw(generator))
        return found.clamp(0, 1)
