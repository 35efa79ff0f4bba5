"""Second-order smoothness."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def smoothness(field: Float[Tensor, "b c h w"]) -> Float[Tensor, "b"]:
    """Mean absolute second differences, uu, uv, vu and vv added (Pan, supplementary; both implementations).

    Zero for every plane; scales with the field.
    """
    du = field[..., :, 1:] - field[..., :, :-1]
    dv = field[..., 1:, :] - field[..., :-1, :]
    duu = du[..., :, 1:] - du[..., :, :-1]
    duv = du[..., 1:, :] - du[..., :-1, :]
    dvu = dv[..., :, 1:] - dv[..., :, :-1]
    dvv = dv[..., 1:, :] - dv[..., :-1, :]
    return duu.abs().mean((1, 2, 3)) + duv.abs().mean((1, 2, 3)) + dvu.abs().mean((1, 2, 3)) + dvv.abs().mean((1, 2, 3))
