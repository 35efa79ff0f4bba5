"""The canonical height field as a textured triangle mesh, in the axes of glTF.

This is the one place where the frame changes. Ours is x right, y down, z forward; glTF's is x right, y up, z toward the
viewer. Between them lies a half turn about x, (x, -y, -z): a rotation, so the winding of the triangles stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from bozzetto.export.images import to_uint8
from bozzetto.export.matting import MASK_THRESHOLD, binary, carry_depth, object_mask
from bozzetto.export.outline import clip_at, largest_part, without_unused
from bozzetto.export.paint import painted
from bozzetto.export.scene import Scene
from bozzetto.geometry.camera import unproject
from bozzetto.geometry.heightfield import grid_faces, normals
from bozzetto.geometry.pose import PIVOT_DEPTH
from bozzetto.types import BORDER_COLUMNS, Camera

Texture = Literal["baked", "albedo"]

TEXTURE_PX = 256

# Faces whose depth changes by more than this per unit of sideways way span a jump (10: 84 degrees).
MAX_STRETCH = 10.0


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in glTF axes (x right, y up, z toward the viewer), about one unit wide, pivot at the origin."""

    vertices: Float32[np.ndarray, "v 3"]
    normals: Float32[np.ndarray, "v 3"]  # unit, outward
    uv: Float32[np.ndarray, "v 2"]  # [0, 1], (0, 0) is the texture's top left corner, v down (glTF)
    faces: Int64[np.ndarray, "f 3"]  # counter-clockwise seen from outside
    texture: UInt8[np.ndarray, "t t 3"]  # sRGB


def unit_scale(camera: Camera) -> float:
    """Mesh units per scene unit: what the picture is wide at the object's depth becomes 1."""
    return 1 / (2 * PIVOT_DEPTH * math.tan(math.radians(camera.fov_deg) / 2))


def to_gltf_points(points: Float[Tensor, "*n 3"], camera: Camera) -> Float[Tensor, "*n 3"]:
    """Scene points to mesh points: about the pivot (0, 0, 1), half a turn about x, scaled."""
    pivot = torch.tensor((0.0, 0.0, PIVOT_DEPTH), dtype=points.dtype)
    return to_gltf_directions(points - pivot) * unit_scale(camera)


def to_gltf_directions(directions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """(x, -y, -z): x right, y down, z forward to x right, y up, z toward the viewer."""
    return directions * torch.tensor((1.0, -1.0, -1.0), dtype=directions.dtype)


def texture_picture(
    scene: Scene, texture: Texture = "baked", min_px: int = TEXTURE_PX, background: bool = False
) -> UInt8[np.ndarray, "t t 3"]:
    """The mesh's texture: albedo x shading as in the photo's light ("baked"), or albedo alone.

    Object colours are carried beyond the mask, so that no background shows at the rim, unless it is kept. Read
    bilinearly to at least `min_px` pixels a side, a whole number of texels from pixel to pixel, so that each pixel
    keeps its exact colour; a scene's own texture of that size keeps its texels.
    """
    steps = scene.camera.size - 1
    side = steps * max(1, math.ceil((min_px - 1) / steps)) + 1
    if scene.texture is not None and scene.texture.shape[-1] >= min_px:
        side = scene.texture.shape[-1]
    return to_uint8(painted(scene, side, texture == "baked", background)[0])


def _uv(size: int, texture_px: int) -> Float[Tensor, "v 2"]:
    """Texture coordinates of the grid's vertices: vertex i of S lies on texel centre i / (S - 1) * (T - 1)."""
    ticks = (torch.linspace(0, 1, size, dtype=torch.float64) * (texture_px - 1) + 0.5) / texture_px
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack((u, v), dim=-1).reshape(-1, 2)


def stretch(
    height: Float[np.ndarray, "v"], plane: Float[np.ndarray, "v 2"], faces: Int64[np.ndarray, "f 3"]
) -> Float[np.ndarray, "f"]:
    """Depth change over sideways way along each face's worst edge.

    Sideways is in the picture's plane and not in space: a jump along a slanted ray moves sideways in space too.
    """
    before = np.roll(faces, 1, axis=1)
    sideways = np.linalg.norm(plane[faces] - plane[before], axis=-1)
    return (np.abs(height[faces] - height[before]) / np.maximum(sideways, 1e-12)).max(axis=1)


def mesh_of(
    scene: Scene,
    texture: Texture = "baked",
    threshold: float = MASK_THRESHOLD,
    max_stretch: float = MAX_STRETCH,
    largest_only: bool = True,
    background: bool = False,
) -> Mesh:
    """The object as a mesh: one vertex a pixel of the canonical depth, its outline cut where the mask is `threshold`.

    Args:
        scene: a reconstruction.
        texture: "baked" keeps the photo's light in the texture, "albedo" leaves it out.
        threshold: background is where the canonical mask is below. A mask that never reaches it keeps the whole grid.
        max_stretch: faces steeper than this (depth over sideways way) span a jump in depth and are left out.
        largest_only: keep only the largest connected part; does not hold where the background is kept.
        background: keep the whole picture, but for its outermost columns, which are no shape.
    """
    camera, size = scene.camera, scene.camera.size
    mask = object_mask(scene.canonical_mask[None], scene.normal[None]).double()
    if background:
        mask = torch.ones_like(mask)
    inside = binary(mask, threshold)
    # Depth is carried a little beyond the mask, so that the outline ends in the surface and not half-way down a wall.
    depth = carry_depth(scene.depth[None].double(), inside)
    picture = texture_picture(scene, texture, background=background)

    points = to_gltf_points(unproject(depth, camera), camera).reshape(-1, 3).numpy()
    normal = to_gltf_directions(normals(depth, camera).permute(0, 2, 3, 1)).reshape(-1, 3).numpy()
    corners = np.concatenate((points, normal, _uv(size, picture.shape[0]).numpy()), axis=1)
    level = mask if bool((mask >= threshold).any()) else inside
    faces = grid_faces(size).numpy()
    usable = np.isfinite(corners).all(axis=1)
    if background:
        column = np.arange(size * size) % size
        usable &= (column >= BORDER_COLUMNS) & (column < size - BORDER_COLUMNS)
    faces = faces[usable[faces].all(axis=1)]

    corners, faces = clip_at(corners, faces, level.reshape(-1).numpy(), threshold)
    # One unit of texture coordinates is the picture's width, and so is one mesh unit.
    faces = faces[stretch(corners[:, 2], corners[:, 6:], faces) <= max_stretch]
    if largest_only and not background:
        faces = largest_part(faces, len(corners))
    corners, faces = without_unused(corners, faces)
    length = np.linalg.norm(corners[:, 3:6], axis=1, keepdims=True)
    return Mesh(
        vertices=corners[:, :3].astype(np.float32),
        normals=(corners[:, 3:6] / np.maximum(length, 1e-12)).astype(np.float32),
        uv=corners[:, 6:].astype(np.float32),
        faces=faces,
        texture=picture,
    )
