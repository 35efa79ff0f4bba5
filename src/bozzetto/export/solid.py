"""Closing a mesh for 3D printing: walls from its rim along the lines of sight, and a flat back.

The walls go straight away from the eye, so that no two of them can meet and nothing of them is seen from the front.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from bozzetto.export.mesh import Mesh, unit_scale
from bozzetto.export.outline import largest_part
from bozzetto.geometry.pose import PIVOT_DEPTH
from bozzetto.types import Camera

BASE = 0.05  # mesh units (widths of the picture) from the farthest point of the surface to the back


def rim_edges(faces: Int64[np.ndarray, "f 3"]) -> Int64[np.ndarray, "e 2"]:
    """Edges of one face alone, in the direction that their face has them."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    codes = edges[:, 0] * (faces.max(initial=0) + 1) + edges[:, 1]
    back = edges[:, 1] * (faces.max(initial=0) + 1) + edges[:, 0]
    return edges[~np.isin(codes, back)]


def _fans(around: Int64[np.ndarray, "m 3"], vertex: int) -> list[list[int]]:
    """The faces about a vertex in groups that hang together by edges through it."""
    groups: list[tuple[set[int], list[int]]] = []
    for number, face in enumerate(around):
        others, members = {int(v) for v in face if v != vertex}, [number]
        for group in [g for g in groups if g[0] & others]:
            groups.remove(group)
            others, members = others | group[0], members + group[1]
        groups.append((others, members))
    return [members for _, members in groups]


def without_pinches(faces: Int64[np.ndarray, "f 3"]) -> Int64[np.ndarray, "g 3"]:
    """Faces whose rim passes each vertex once: where two corners touch in a point, the smaller one is left out."""
    while len(faces):
        starts, passes = np.unique(rim_edges(faces)[:, 0], return_counts=True)
        pinches = starts[passes > 1]
        if len(pinches) == 0:
            break
        kept = np.ones(len(faces), dtype=bool)
        for vertex in pinches:
            near = np.flatnonzero((faces == vertex).any(axis=1))
            fans = sorted(_fans(faces[near], int(vertex)), key=len)
            kept[near[[number for fan in fans[:-1] for number in fan]]] = False
        faces = faces[kept]
    return faces


def _unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def close_back(mesh: Mesh, camera: Camera, base: float = BASE) -> Mesh:
    """The mesh with walls and a flat back: every edge has a face on either side, once vertices in one place are one.

    Rim and back have vertices of their own, because normals and colours differ there: the walls carry the rim's
    colours on, the back has one of them. Of a surface in several parts each is closed, and all stand on one back.

    Args:
        base: thickness, in mesh units, at the surface's farthest point.
    """
    faces = without_pinches(mesh.faces)
    faces = faces if len(faces) == len(mesh.faces) else without_pinches(largest_part(faces, len(mesh.vertices)))
    if len(faces) == 0:
        return Mesh(mesh.vertices[:0], mesh.normals[:0], mesh.uv[:0], faces, mesh.texture)
    used, renumbered = np.unique(faces, return_inverse=True)
    faces = renumbered.reshape(faces.shape)
    front, uv = mesh.vertices[used], mesh.uv[used]
    eye = np.array((0.0, 0.0, unit_scale(camera) * PIVOT_DEPTH))
    floor = float(front[:, 2].min()) - base
    reach = (eye[2] - floor) / (eye[2] - front[:, 2].astype(np.float64))
    behind = eye + (front - eye) * reach[:, None]
    behind[:, 2] = floor
    behind = behind.astype(np.float32)

    edges = rim_edges(faces)
    rim, numbers = np.unique(edges, return_inverse=True)
    a, b = numbers.reshape(edges.shape).T
    top, bottom = front[rim].astype(np.float64), behind[rim].astype(np.float64)
    outward = np.zeros_like(top)
    flat = _unit(np.cross(top[a] - top[b], bottom[a] - top[b]))  # as the wall's faces below are wound
    np.add.at(outward, np.concatenate((a, b)), np.concatenate((flat, flat)))
    n, r = len(front), len(rim)
    a_top, b_top, a_low, b_low = n + a, n + b, n + r + a, n + r + b
    walls = np.concatenate((np.stack((b_top, a_top, a_low), 1), np.stack((b_top, a_low, b_low), 1)))
    back = faces[:, ::-1] + n + 2 * r
    # The back has the rim's colour at its lowest point: neck or base, seldom background.
    colour = uv[rim[np.argmin(front[rim, 1])]]
    return Mesh(
        vertices=np.concatenate((front, front[rim], behind[rim], behind)),
        normals=np.concatenate(
            (
                mesh.normals[used],
                np.tile(_unit(outward), (2, 1)).astype(np.float32),
                np.broadcast_to(np.array((0, 0, -1), np.float32), front.shape),
            )
        ),
        uv=np.concatenate((uv, uv[rim], uv[rim], np.broadcast_to(colour, uv.shape))),
        faces=np.concatenate((faces, walls, back)).astype(np.int64),
        texture=mesh.texture,
    )
