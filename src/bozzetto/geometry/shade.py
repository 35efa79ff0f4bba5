"""Lambert shading under one directional light plus ambient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def light_direction(light: Float[Tensor, "b 4"]) -> Float[Tensor, "b 3"]:
    """Unit direction toward the light, normalise(-dx, -dy, -1).

    The papers write normalise(dx, dy, 1) with normals that point away from the camera; turning both round leaves
    every published number valid. dy > 0 is light from above, dx > 0 light from the left of the picture.
    """
    toward = torch.cat((-light[:, 2:], -torch.ones_like(light[:, :1])), dim=-1)
    return toward / torch.linalg.vector_norm(toward, dim=-1, keepdim=True)


def diffuse(normal: Float[Tensor, "n 3 h w"], light: Float[Tensor, "b 4"]) -> Float[Tensor, "b 1 h w"]:
    """max(0, n . direction). One normal map may serve every light (n = 1)."""
    direction = light_direction(light)
    return (normal * direction[:, :, None, None]).sum(1, keepdim=True).clamp(min=0)


def shading(diffuse_map: Float[Tensor, "b 1 h w"], light: Float[Tensor, "b 4"]) -> Float[Tensor, "b 1 h w"]:
    """ambient + diffuse strength x diffuse (Pan, Eq. 1's lighting)."""
    return light[:, 0, None, None, None] + light[:, 1, None, None, None] * diffuse_map
