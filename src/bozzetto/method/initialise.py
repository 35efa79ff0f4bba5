"""Step 0: the depth network learns the prior shape, and V and L what is known of the turned pictures."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from bozzetto.method.problem import Problem, Turned, predict_albedo, predict_depth, predict_light, predict_view
from bozzetto.nets.heads import raw_from_view
from bozzetto.nets.networks import Networks
from bozzetto.types import BORDER_COLUMNS


class PriorStep:
    """Mean squared error between D(photo) and the prior, in scene units squared."""

    def __init__(self, problem: Problem, nets: Networks) -> None:
        if problem.prior is None:
            raise ValueError("step 0 needs a prior shape")
        self.problem, self.nets, self.prior = problem, nets, problem.prior

    def loss(self) -> dict[str, Tensor]:
        problem = self.problem
        depth = predict_depth(self.nets, problem.photo, problem)
        error = (depth - self.prior)[..., BORDER_COLUMNS:-BORDER_COLUMNS].square().mean()
        # In half ranges: Adam does not mind the scale, bfloat16 and tiny gradients do.
        terms = {"total": error / problem.depth_range.half**2, "prior": error}
        if problem.turned is not None:
            known = turned_error(self.nets, problem.turned, problem)
            terms = {**terms, "total": terms["total"] + known, "known": known}
            weight = problem.config.turn.albedo_weight
            if weight > 0:
                albedo = predict_albedo(self.nets, problem.photo, problem)
                # The last of the turned pictures is the halfway one: frontal, under even light.
                away = weight * (albedo - even_albedo(problem.turned.images[-1])).abs().mean()
                terms = {**terms, "total": terms["total"] + away, "albedo": away}
        return terms


def even_albedo(halfway: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """The halfway picture as an albedo: brightened by what a frontal light of medium strength leaves."""
    return (halfway / 0.8).clamp(0, 1)


def turned_error(nets: Networks, turned: Turned, problem: Problem) -> Tensor:
    """Mean squared error of V and L on the turned pictures."""
    images, view, light = turned.images.flatten(0, 1), turned.view.flatten(0, 1), turned.light.flatten(0, 1)
    return known_error(nets, images, view, light, problem)


def known_error(
    nets: Networks,
    images: Float[Tensor, "n 3 s s"],
    view: Float[Tensor, "n 6"],
    light: Float[Tensor, "n 4"],
    problem: Problem,
) -> Tensor:
    """Mean squared error of V and L, in network units, on pictures whose view and light are known."""
    found_view = predict_view(nets, images, problem)
    found_light = predict_light(nets, images, problem)
    turn_error = raw_from_view(found_view - view, problem.view_scale).square().mean()
    scale = found_light.new_tensor((2.0, 2.0, 1.0, 1.0))  # ambient and diffuse strength are half of what L puts out
    return turn_error + ((found_light - light) * scale).square().mean()
