"""Which views and lights pseudo images are drawn under, by category.

Views are in the view network's units (60 degrees, 0.1 scene units), so that one row serves every scale. The papers'
own means and covariances are not published in text; "they do not have to be very accurate" (its authors), and
`bozzetto estimate-views` measures them again from a folder of fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.nets.heads import ViewScale


@dataclass(frozen=True)
class ViewDistribution:
    """Multivariate normal over (rx, ry, rz, tx, ty, tz) in network units."""

    mean: tuple[float, ...] = (0.0,) * 6
    sd: tuple[float, ...] = (0.13, 0.33, 0.07, 0.06, 0.06, 0.0)
    correlation: tuple[tuple[float, ...], ...] | None = None  # 6 x 6, unit diagonal; None: independent
    yaw_scale: float = 1.0  # widens ry when drawing (Pan: 1.2 for faces, synthetic ones too, and cats)

    def draw(self, count: int, scale: ViewScale, generator: torch.Generator) -> Float[Tensor, "n 6"]:
        """Views in radians and scene units, on the generator's device."""
        unit = torch.randn((count, 6), generator=generator, device=generator.device)
        if self.correlation is not None:
            unit = unit @ torch.linalg.cholesky(unit.new_tensor(self.correlation)).T
        spread = unit.new_tensor(self.sd) * unit.new_tensor((1.0, self.yaw_scale, 1.0, 1.0, 1.0, 1.0))
        return (unit.new_tensor(self.mean) + unit * spread) * scale.factors(unit)


@dataclass(frozen=True)
class LightDistribution:
    """Uniform ranges of a light's direction and of its strength (Pan)."""

    dx: tuple[float, float] = (-1.0, 1.0)
    dy: tuple[float, float] = (-0.2, 0.8)
    strength: tuple[float, float] = (-0.1, 0.6)  # r
    ambient_drop: float = 0.6  # shading = (a - drop r) + (b + r) diffuse

    def draw(self, light: Float[Tensor, "n 4"], generator: torch.Generator) -> Float[Tensor, "n 4"]:
        """New lights around the photo's own ambient and diffuse strengths."""
        unit = torch.rand((len(light), 3), generator=generator, device=generator.device).to(light.device)
        low = unit.new_tensor((self.dx[0], self.dy[0], self.strength[0]))
        high = unit.new_tensor((self.dx[1], self.dy[1], self.strength[1]))
        dx, dy, r = (low + unit * (high - low)).unbind(1)
        return torch.stack((light[:, 0] - self.ambient_drop * r, light[:, 1] + r, dx, dy), dim=1)


@dataclass(frozen=True)
class SceneDistribution:
    views: ViewDistribution = ViewDistribution()
    lights: LightDistribution = LightDistribution()


DISTRIBUTIONS: dict[str, SceneDistribution] = {
    "object": SceneDistribution(),
    # Measured on the rendered heads themselves.
    "heads": SceneDistribution(ViewDistribution(), LightDistribution()),
    "face": SceneDistribution(ViewDistribution(sd=(0.10, 0.30, 0.05, 0.05, 0.05, 0.0), yaw_scale=1.2)),
    "synface": SceneDistribution(
        ViewDistribution(yaw_scale=1.2), LightDistribution((-0.9, 0.9), (-0.3, 0.8), (-0.1, 0.7), ambient_drop=0.4)
    ),
    "cat": SceneDistribution(ViewDistribution(sd=(0.12, 0.30, 0.06, 0.05, 0.05, 0.0), yaw_scale=1.2)),
    "car": SceneDistribution(ViewDistribution(sd=(0.06, 0.45, 0.03, 0.05, 0.05, 0.0))),
    "church": SceneDistribution(ViewDistribution(sd=(0.05, 0.25, 0.02, 0.05, 0.05, 0.0))),
}


def find_distribution(category: str) -> SceneDistribution:
    return DISTRIBUTIONS.get(category, DISTRIBUTIONS["object"])
