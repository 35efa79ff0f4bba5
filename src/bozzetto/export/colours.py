"""A small colour map for depth, and the colours that pictures without an object are filled with."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Neutral fill behind a cut-out object, RGB in [0, 1].
BACKGROUND = (0.925, 0.922, 0.914)

# Far to near. Chosen by hand so that Oklab lightness grows by an equal step from one stop to the next: a grey print of
# the picture still reads as depth, and no hue makes a false edge.
_STOPS_HEX = ("#15113a", "#2b2370", "#3d3f95", "#3f63a2", "#3d87a4", "#46aa9d", "#70cb8c", "#b3e583", "#f6f7a8")


def _hex_to_rgb(code: str) -> tuple[float, float, float]:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


_M1 = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_M2 = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def srgb_to_oklab(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """sRGB in [0, 1] to Oklab (Ottosson 2020): lightness in [0, 1], then the two colour axes."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = linear @ _M1.T
    return cones.clamp(min=0) ** (1 / 3) @ _M2.T


def oklab_to_srgb(lab: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Oklab to sRGB, clamped to [0, 1]; the inverse of `srgb_to_oklab` inside the gamut."""
    cones = (lab @ torch.linalg.inv(_M2).T) ** 3
    linear = (cones @ torch.linalg.inv(_M1).T).clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def depth_table(entries: int = 256) -> Float[Tensor, "n 3"]:
    """The depth colours, far to near, as sRGB rows in [0, 1]: Oklab-linear between stops, even steps of lightness."""
    stops = srgb_to_oklab(torch.tensor([_hex_to_rgb(code) for code in _STOPS_HEX]))
    # Each stop sits where its lightness says, so the table's lightness is a straight line whatever the stops are.
    where = (stops[:, 0] - stops[0, 0]) / (stops[-1, 0] - stops[0, 0])
    position = torch.linspace(0, 1, entries)
    right = torch.searchsorted(where.contiguous(), position.contiguous()).clamp(1, len(stops) - 1)
    part = ((position - where[right - 1]) / (where[right] - where[right - 1])).clamp(0, 1)
    return oklab_to_srgb(torch.lerp(stops[right - 1], stops[right], part[:, None]))


def apply_table(value: Float[Tensor, "*b 1 h w"], table: Float[Tensor, "n 3"]) -> Float[Tensor, "*b 3 h w"]:
    """Colour a picture of values in [0, 1] by linear interpolation in `table`; values outside are clamped, NaN is 0."""
    at = torch.nan_to_num(value, nan=0.0).clamp(0, 1).squeeze(-3) * (len(table) - 1)
    low = at.floor().long().clamp(max=len(table) - 2)
    rgb = torch.lerp(table[low], table[low + 1], (at - low)[..., None])
    return rgb.movedim(-1, -3)
