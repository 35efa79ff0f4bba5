"""The object as it is now, drawn: a pure function from a record to a few pictures."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.export.images import depth_rgb, normal_rgb, over, shown_depth_range
from bozzetto.export.matting import soft_edge
from bozzetto.export.paths import turn_row
from bozzetto.export.turn import turned
from bozzetto.results import Reconstruction

TURNS = 11  # pictures in the strip, from one side to the other
MAX_YAW_DEG = 35.0
MAX_TURN_PX = 192
NAMES = ("photo", "recon", "depth", "normal", "turn")


@torch.no_grad()
def draw(scene: Reconstruction, bare: bool = False) -> dict[str, Float[Tensor, "3 _ _"]]:
    """Pictures in [0, 1] by the names of `NAMES`.

    photo: as it was cropped; recon: the rendering in its pose, on a neutral ground; depth, normal: frontal, in
    colours; turn: `TURNS` square pictures side by side, from the object's one side to the other.

    bare: the albedo is not learned yet. The shape is shown with the photo on it, evenly lit, and recon is left out.
    """
    if bare:
        scene = replace(scene, albedo=scene.image, texture=None, light=torch.tensor([1.0, 0.0, 0.0, 0.0]))
    limits = shown_depth_range(scene.depth, scene.canonical_mask, scene.depth_range)
    outline = soft_edge(scene.canonical_mask[None])[0]  # as in the sheet of the result
    sides = turned(scene, turn_row(TURNS, MAX_YAW_DEG), min(scene.size, MAX_TURN_PX))
    posed = {} if bare else {"recon": over(scene.recon, scene.recon_mask * scene.mask)}
    return {
        "photo": scene.image,
        **posed,
        "depth": depth_rgb(scene.depth, limits.near, limits.far, outline),
        "normal": normal_rgb(scene.normal, outline),
        "turn": torch.cat(list(sides), dim=2),
    }
