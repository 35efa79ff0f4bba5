"""What the viewer's page is given: the object of a reconstruction as plain numbers and base64, ready for JSON.

The surface is the one of the films (`export.turn`): cut out by the mask, its depth brought to a finer grid by splines,
with normals of that grid. The page only moves, lights and colours it.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch

from bozzetto.export.atlas import atlas_of
from bozzetto.export.colours import depth_table
from bozzetto.export.glb import glb_bytes
from bozzetto.export.images import jpeg_bytes, png_bytes, shown_depth_range, to_uint8
from bozzetto.export.matting import cut_out, object_mask, resample_smooth
from bozzetto.export.mesh import mesh_of
from bozzetto.export.paint import painted
from bozzetto.export.piece import drawn_mask
from bozzetto.export.scene import Scene, factors_of
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.warp import resize_grid
from bozzetto.types import Camera

GRID = 256  # vertices a side that the surface is brought to, about
MAX_SIDE = 512  # of the grid and of textures: what a phone turns with ease
NORMAL_STEPS = 32767  # a normal's x and y as 16-bit whole numbers; z follows, since it is never positive


def grid_size(size: int) -> int:
    """Vertices a side: a whole number of them from pixel to pixel, so that each pixel keeps its depth."""
    return min(max(1, round((GRID - 1) / (size - 1))) * (size - 1) + 1, MAX_SIDE)


def _coded(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


def _fine(scene: Scene) -> dict[str, Any]:
    if scene.texture is None:
        return {}
    side = min(scene.texture.shape[-1], MAX_SIDE)
    return {"fine": base64.b64encode(jpeg_bytes(painted(scene, side)[0])).decode("ascii"), "fineSide": side}


def viewer_data(scene: Scene) -> dict[str, Any]:
    """The page's data as a JSON object.

    Numbers are little-endian. `depth` float32 [g, g] in scene units; `normal` int16 [g, g, 2]; `albedo` uint8
    [t, t, 4], the mask in its fourth channel; `fine` the albedo as fine as the photo, a JPEG, where there is one, and
    `fineSide` its side; `colours` uint8 [256, 4], far to near; `photo` and `glb` whole files;
    `gan` the pictures through the GAN (`export.atlas`), or null.
    """
    size = scene.camera.size
    mask = drawn_mask(scene)
    factors = cut_out(factors_of(scene), object_mask(scene.canonical_mask[None], scene.normal[None]))
    grid, texture = grid_size(size), min(size, MAX_SIDE)
    depth = resample_smooth(factors.depth, grid)
    normal = normals(depth, Camera(grid, scene.camera.fov_deg))[0, :2].permute(1, 2, 0)
    albedo = torch.cat((factors.albedo, mask), dim=1)
    albedo = albedo if texture == size else resize_grid(albedo, texture)
    shown = shown_depth_range(scene.depth, scene.canonical_mask, scene.depth_range)
    opaque = torch.cat((depth_table(), torch.ones(256, 1)), dim=1).T[:, :, None]
    return {
        "name": scene.title,
        "facts": dict(scene.facts),
        "size": size,
        "fovDeg": scene.camera.fov_deg,
        "view": scene.view.tolist(),
        "light": scene.light.tolist(),
        "shown": [shown.near, shown.far],
        "grid": grid,
        "texture": texture,
        "depth": _coded(depth[0, 0].numpy(), "<f4"),
        "normal": _coded((normal * NORMAL_STEPS).round().numpy(), "<i2"),
        "albedo": _coded(to_uint8(albedo[0]), "u1"),
        **_fine(scene),
        "colours": _coded(to_uint8(opaque), "u1"),
        "photo": base64.b64encode(png_bytes(scene.image)).decode("ascii"),
        "gan": None if scene.through_gan is None else atlas_of(scene.through_gan),
        "glb": base64.b64encode(glb_bytes(mesh_of(scene))).decode("ascii"),
    }
