"""The part of the height field that films, viewer and gallery draw: one piece, cut at jumps in depth as the mesh is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.export.matting import binary, object_mask, smooth_outline
from bozzetto.export.mesh import MAX_STRETCH, stretch, unit_scale
from bozzetto.export.outline import largest_part
from bozzetto.export.scene import Scene
from bozzetto.geometry.heightfield import grid_faces
from bozzetto.types import Camera

OPEN = 0.3  # of a mask: what `soft_edge` shows nothing of


def drawn_mask(scene: Scene) -> Float[Tensor, "1 1 s s"]:
    """How much of each canonical pixel is drawn: `object_mask`, in one piece."""
    return one_piece(object_mask(scene.canonical_mask[None], scene.normal[None]), scene.depth[None], scene.camera)


def one_piece(
    mask: Float[Tensor, "1 1 s s"], depth: Float[Tensor, "1 1 s s"], camera: Camera
) -> Float[Tensor, "1 1 s s"]:
    """The mask cut at jumps in depth and then without the islands beside its largest part, as the mesh is.

    A cut is a pixel wide on either side, so that its rim can be smoothed as that of `object_mask` is, and open however
    near its lips are. Where there is nothing to cut, the mask comes back as it was.
    """
    size = camera.size
    inside, faces = binary(mask), grid_faces(size).numpy()
    faces = faces[(inside.reshape(-1) > 0).numpy()[faces].all(axis=1)]
    ticks = np.linspace(0, 1, size)
    plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    torn = stretch(depth.reshape(-1).double().numpy() * unit_scale(camera), plane, faces) > MAX_STRETCH
    whole = np.ones(size * size, dtype=bool)
    whole[faces[torn]] = False
    piece = largest_part(faces[whole[faces].all(axis=1)], size * size)
    if len(piece) in (0, len(faces)):
        return mask
    kept = np.zeros(size * size, dtype=np.float32)
    kept[piece] = 1
    piece_mask = torch.from_numpy(kept).reshape(mask.shape)
    smooth = smooth_outline(piece_mask)
    return torch.minimum(mask, torch.where(piece_mask > 0, smooth, smooth.clamp(max=OPEN)))
