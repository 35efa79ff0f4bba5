"""Step 1: only the albedo network moves."""

from __future__ import annotations

import torch
from torch import Tensor

from bozzetto.method.photo_loss import Lit, Shape, light_up, make_shape, photo_loss, target_features, twice
from bozzetto.method.problem import Problem, predict_albedo, predict_depth, predict_light, predict_view
from bozzetto.nets.networks import Networks

MOVES = ("albedo",)


class AlbedoStep:
    """Depth, view, light, normals, shading, sampling grid and the photo's features stay: computed once."""

    moves = MOVES

    def __init__(self, problem: Problem, nets: Networks, mirror: bool) -> None:
        self.problem, self.nets, self.mirror = problem, nets, mirror
        self.fixed = self._fixed() if problem.config.compute.reuse else None

    @torch.no_grad()
    def _fixed(self) -> tuple[Shape, Lit, list[Tensor] | None]:
        problem, nets, mirror = self.problem, self.nets, self.mirror
        shape = make_shape(predict_depth(nets, problem.photo, problem), problem, mirror)
        view = twice(predict_view(nets, problem.photo, problem), mirror)
        light = twice(predict_light(nets, problem.photo, problem), mirror)
        return shape, light_up(shape, view, light, problem), target_features(problem.photo, problem, mirror)

    def loss(self) -> dict[str, Tensor]:
        shape, lit, wanted = self.fixed or self._fixed()
        albedo = predict_albedo(self.nets, self.problem.photo, self.problem)
        terms = photo_loss(albedo, shape, lit, self.problem, self.mirror, wanted)
        return {"total": sum_terms(terms), **terms}


def sum_terms(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([term.mean() for term in terms.values()]).sum()
