"""Step 2: pseudo images of the current shape under new views and lights, projected onto the generator's images.

Only the offset encoder moves: w' = w + f(E(I') - E(G(w)) + c_h) - c_w, where f is the mapping network's last layers
and c_h, c_w are what the mapping network gives before and after them at z = 0 (Pan, Eq. 3 and 4).
"""

from __future__ import annotations

from collections.abc import Iterator
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
from bozzetto.method.chunks import Sum, back_propagated, pieces
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


class Drawn(NamedTuple):
    """Views and lights to render pseudo images under."""

    item: Tensor  # [m] index of the photo
    view: Float[Tensor, "m 6"]
    light: Float[Tensor, "m 4"]


class Shown(NamedTuple):
    """What is rendered: the photos' objects as the networks have them now."""

    factors: Factors
    mask: Float[Tensor, "b 1 s s"]  # canonical
    normal: Float[Tensor, "b 3 s s"]


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

    @torch.no_grad()
    def _shown(self) -> Shown:
        """Factors of the photos as the networks have them now, canonical mask and normals."""
        problem = self.problem
        factors, mask, normal, *_ = self.fixed or self._fixed()
        if self.fixed and problem.config.project.teach:  # V and L move: what they say is not fixed
            view = predict_view(self.nets, problem.photo, problem)
            factors = replace(factors, view=view, light=predict_light(self.nets, problem.photo, problem))
            mask = canonical_mask(problem.mask, factors.depth, view, problem.camera)
        return Shown(factors, mask, normal)

    def draw(self, generator: torch.Generator) -> Pseudo:
        """Np pseudo images of each photo under drawn views and lights."""
        shown = self._shown()
        return self._render(shown, self._draw(shown, generator))

    def _chunks(self, generator: torch.Generator) -> Iterator[Pseudo]:
        """What `draw` gives, `compute.chunk` of them at a time."""
        shown = self._shown()
        drawn = self._draw(shown, generator)
        for part in pieces(len(drawn.item), self.problem.config.compute.chunk):
            yield self._render(shown, Drawn(*(value[part] for value in drawn)))

    @torch.no_grad()
    def _draw(self, shown: Shown, generator: torch.Generator) -> Drawn:
        """Np views and lights for each photo."""
        problem, photos = self.problem, len(self.problem.photo)
        device = problem.photo.device
        item = torch.arange(photos, device=device).repeat_interleave(self.samples)
        view = problem.scenes.views.draw(len(item), problem.view_scale, generator).to(device)
        return Drawn(item, view, problem.scenes.lights.draw(shown.factors.light[item], generator))

    @torch.no_grad()
    def _render(self, shown: Shown, drawn: Drawn) -> Pseudo:
        problem, (factors, mask, normal), (item, view, light) = self.problem, shown, drawn
        depth, albedo = factors.depth, factors.albedo
        if len(problem.photo) > 1:
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
        terms = self._sample_terms(self.draw(generator))
        terms.update(self._turned_terms())
        return {"total": sum_terms(terms), **terms}

    def descend(self, generator: torch.Generator) -> dict[str, Tensor]:
        """As `loss`; with `compute.chunk` the gradients are added to the parameters', chunk by chunk."""
        chunk, count = self.problem.config.compute.chunk, self.samples * len(self.problem.photo)
        if not 0 < chunk < count:
            return self.loss(generator)
        found = Sum()
        for pseudo in self._chunks(generator):
            found.add(back_propagated(self._sample_terms(pseudo), len(pseudo.item) / count))
        found.add(back_propagated(self._turned_terms()))
        return found.terms()

    def _sample_terms(self, pseudo: Pseudo) -> dict[str, Tensor]:
        """Means over these samples, weighted."""
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
        return terms

    def _turned_terms(self) -> dict[str, Tensor]:
        """What does not depend on the samples, weighted."""
        problem = self.problem
        if not problem.config.project.teach or problem.turned is None:
            return {}
        return {"turned": problem.config.turn.weight * turned_error(self.nets, problem.turned, problem)}

    def _feature_distance(self, found: Tensor, pseudo: Pseudo) -> Tensor:
        """Features of the found picture against those of the pseudo image laid over it: outside the mask they agree."""
        laid = found.detach() + (pseudo.images - found.detach()) * pseudo.mask
        with torch.no_grad():
            wanted = self.features.features(laid)
        return self.features.between(self.features.features(found), wanted, pseudo.mask).mean()

    @torch.no_grad()
    def collect(self, generator: torch.Generator) -> Tensor:
        """One more batch of projected samples, [0, 1], photo by photo; with no teacher the renderings as they are."""
        taught = self.problem.config.project.teacher == "generator"
        found = [self.project(pseudo)[0] if taught else pseudo.images for pseudo in self._chunks(generator)]
        return torch.cat(found).clamp(0, 1)
