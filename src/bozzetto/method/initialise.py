"""Step 0: the depth network learns the prior shape."""

from __future__ import annotations

from torch import Tensor

from bozzetto.method.problem import Problem, predict_depth
from bozzetto.nets.networks import Networks

MOVES = ("depth",)


class PriorStep:
    """Mean squared error between D(photo) and the prior, in scene units squared."""

    moves = MOVES

    def __init__(self, problem: Problem, nets: Networks) -> None:
        if problem.prior is None:
            raise ValueError("step 0 needs a prior shape")
        self.problem, self.nets, self.prior = problem, nets, problem.prior

    def loss(self) -> dict[str, Tensor]:
        depth = predict_depth(self.nets, self.problem.photo, self.problem)
        error = (depth - self.prior)[..., 2:-2].square().mean()
        # Scaled to the range's half width: Adam does not mind, bfloat16 and tiny gradients do.
        return {"total": error / self.problem.depth_range.half**2, "prior": error}
