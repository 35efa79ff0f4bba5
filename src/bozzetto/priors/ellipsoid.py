"""The ellipsoid prior of GAN2Shape (Pan et al., ICLR 2021)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.priors.box import bounding_boxes, squared_box_coordinates
from bozzetto.segment.categories import Category
from bozzetto.types import DepthRange


def ellipsoid(
    mask: Float[Tensor, "b 1 h w"], shape_range: DepthRange, category: Category, radius: float
) -> Float[Tensor, "b 1 h w"]:
    """Cap of an ellipsoid over the mask's box: near in the middle, far on the inscribed ellipse and outside it.

    With h = far - near, and rho the distance from the box's centre in half sizes (1 on the inscribed ellipse),

        depth(rho) = near + R - sqrt(R^2 - (c rho)^2)  for rho <= 1, far beyond,   c^2 = R^2 - (R - h)^2 = h (2R - h),

    a cap of height h cut from a sphere of radius R and stretched so that its rim touches the box's four sides.
    It meets the background continuously, since R - sqrt(R^2 - c^2) = h. Needs R >= h; R = h is half an ellipsoid.

    Args:
        mask: [B,1,H,W] in [0, 1]; the box is that of mask >= 0.7 with the category's margins.
        shape_range: near and far of the shape, scene units.
        radius: R, scene units (Pan: 0.4).
    Raises:
        ValueError: if the radius is smaller than far - near.
    """
    cap = shape_range.far - shape_range.near
    if radius < cap:
        raise ValueError(f"ellipsoid radius {radius} is smaller than the cap's height {cap}")
    u2, v2 = squared_box_coordinates(bounding_boxes(mask, category.margins), *mask.shape[-2:])
    rho2 = (u2 + v2).clamp(max=1)
    depth = shape_range.near + radius - torch.sqrt(radius**2 - cap * (2 * radius - cap) * rho2)
    return depth.clamp(shape_range.near, shape_range.far)
