"""The mesh for other programs: PLY with colours at its vertices, STL for printers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import UInt8

from bozzetto.export.files import write_bytes
from bozzetto.export.glb import check_surface
from bozzetto.export.images import to_uint8
from bozzetto.export.mesh import Mesh
from bozzetto.geometry.warp import sample

COLOURS = ("red", "green", "blue")


def vertex_colours(mesh: Mesh) -> UInt8[np.ndarray, "v 3"]:
    """The texture read bilinearly at every vertex."""
    texture = torch.from_numpy(mesh.texture.copy()).permute(2, 0, 1)[None].float() / 255
    side = texture.shape[-1]
    # From the texture's edges at 0 and 1 to its outermost texel centres at -1 and 1.
    grid = (torch.from_numpy(mesh.uv.copy()) * side - 0.5) / (side - 1) * 2 - 1
    return to_uint8(sample(texture, grid.clamp(-1, 1)[None, None])[0])[0]


def ply_bytes(mesh: Mesh) -> bytes:
    """Binary little-endian PLY with normals and colours. Raises OutputError for a mesh without faces."""
    check_surface(mesh)
    columns = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    vertices = np.empty(len(mesh.vertices), dtype=[*columns, *((name, "u1") for name in COLOURS)])
    for names, values in (
        (("x", "y", "z"), mesh.vertices),
        (("nx", "ny", "nz"), mesh.normals),
        (COLOURS, vertex_colours(mesh)),
    ):
        for i, name in enumerate(names):
            vertices[name] = values[:, i]
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, mesh.faces
    properties = [f"property {'uchar' if name in COLOURS else 'float'} {name}" for name in vertices.dtype.names or ()]
    head = [
        "ply",
        "format binary_little_endian 1.0",
        "comment x right, y up, z toward the viewer",  # PLY itself says nothing of axes
        f"element vertex {len(vertices)}",
        *properties,
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
        "",
    ]
    return "\n".join(head).encode("ascii") + vertices.tobytes() + faces.tobytes()


def write_ply(mesh: Mesh, path: Path) -> Path:
    """Write `path` (.ply), whole or not at all; returns it. Raises OutputError."""
    return write_bytes(path, ply_bytes(mesh))


def stl_bytes(mesh: Mesh, width_mm: float) -> bytes:
    """Binary STL, the picture `width_mm` wide, lying on its back (z up, toward the viewer). Raises OutputError."""
    check_surface(mesh)
    scaled = trimesh.Trimesh(mesh.vertices * np.float32(width_mm), mesh.faces, process=False)
    content = scaled.export(file_type="stl")
    assert isinstance(content, bytes)  # binary STL
    return content


def write_stl(mesh: Mesh, path: Path, width_mm: float) -> Path:
    """Write `path` (.stl), whole or not at all; returns it. Raises OutputError."""
    return write_bytes(path, stl_bytes(mesh, width_mm))
