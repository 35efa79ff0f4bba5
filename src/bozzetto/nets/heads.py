"""From what the networks put out to quantities with units, each photo by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.types import BORDER_COLUMNS, DepthRange


@dataclass(frozen=True)
class ViewScale:
    """What one unit of the view network's output means (both papers)."""

    rotation_deg: float = 60.0
    translation: float = 0.1  # scene units, x and y
    translation_z: float = 0.0  # Pan 0, Rep 0.1

    def factors(self, like: Tensor) -> Float[Tensor, "6"]:
        turn = math.radians(self.rotation_deg)
        values = (turn, turn, turn, self.translation, self.translation, self.translation_z)
        return torch.tensor(values, dtype=like.dtype, device=like.device)


def depth_from_raw(raw: Float[Tensor, "b 1 s s"], depth_range: DepthRange) -> Float[Tensor, "b 1 s s"]:
    """Depth in (near, far): the raw map less its own mean, tanh, rescaled; outer columns at the border depth.

    The mean is taken over each photo's own pixels. Two columns on either side are pulled to
    0.7 far + 0.3 near, so that turned renderings show no torn edge (Pan).
    """
    centred = raw - raw.mean(dim=(1, 2, 3), keepdim=True)
    depth = depth_range.middle + depth_range.half * centred.tanh()
    keep = torch.ones_like(depth[:1])
    keep[..., :BORDER_COLUMNS] = 0
    keep[..., -BORDER_COLUMNS:] = 0
    return depth * keep + depth_range.border * (1 - keep)


def view_from_raw(raw: Float[Tensor, "b 6"], mean: Float[Tensor, "6"], scale: ViewScale) -> Float[Tensor, "b 6"]:
    """Radians and scene units from the tanh output plus the category's mean view (in network units)."""
    return (raw + mean) * scale.factors(raw)


def raw_from_view(view: Float[Tensor, "b 6"], scale: ViewScale) -> Float[Tensor, "b 6"]:
    """Network units (60 deg, 0.1) of a view; a component whose scale is 0 gives 0."""
    factors = scale.factors(view)
    return torch.where(factors > 0, view / factors.clamp(min=1e-12), torch.zeros_like(view))


def light_from_raw(raw: Float[Tensor, "b 4"], mean: Float[Tensor, "4"]) -> Float[Tensor, "b 4"]:
    """Ambient and diffuse strength l/2 + 0.5, direction numbers as they are, after adding the category's mean."""
    shifted = raw + mean
    return torch.cat((shifted[:, :2] / 2 + 0.5, shifted[:, 2:]), dim=1)


def albedo_from_raw(raw: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Albedo in [0, 1] from the tanh output."""
    return raw / 2 + 0.5
