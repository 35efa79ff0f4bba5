"""The mesh as files: one GLB with its texture inside, or OBJ with its material and texture beside it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from PIL import Image
from trimesh.visual.material import PBRMaterial

from bozzetto.errors import OutputError
from bozzetto.export.files import write_bytes, write_text
from bozzetto.export.images import write_png
from bozzetto.export.mesh import Mesh

# As OpenGL numbers them, and glTF after it.
LINEAR, MIPMAPPED, CLAMP = 9729, 9987, 33071


def check_surface(mesh: Mesh) -> None:
    """Raise OutputError for a mesh without faces."""
    if len(mesh.faces) == 0:
        raise OutputError("No surface is left to write as a mesh; lower the mask threshold or raise the stretch limit.")


def _finish(document: dict[str, Any]) -> None:
    """A name for the texture, and no repeating of it: without a sampler the top row runs into the bottom one."""
    (image,), (texture,) = document["images"], document["textures"]
    image["name"] = "texture"
    texture["sampler"] = 0
    document["samplers"] = [{"magFilter": LINEAR, "minFilter": MIPMAPPED, "wrapS": CLAMP, "wrapT": CLAMP}]


def glb_bytes(mesh: Mesh) -> bytes:
    """The mesh as binary glTF 2.0: matt, double-sided, with a PNG texture and vertex normals. Raises OutputError."""
    check_surface(mesh)
    material = PBRMaterial(
        name="bozzetto",
        baseColorTexture=Image.fromarray(mesh.texture),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
    # trimesh counts v upward from the picture's bottom and turns it over again when it writes glTF.
    uv = np.stack((mesh.uv[:, 0], 1 - mesh.uv[:, 1]), axis=1)
    solid = trimesh.Trimesh(
        vertices=mesh.vertices,
        faces=mesh.faces,
        vertex_normals=mesh.normals,
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,
    )
    scene = trimesh.Scene()
    scene.add_geometry(solid, node_name="object", geom_name="object")  # what other programs list it as
    content = scene.export(file_type="glb", include_normals=True, tree_postprocessor=_finish)
    return bytes(content)


def write_glb(mesh: Mesh, path: Path) -> Path:
    """Write `path` (.glb), whole or not at all; returns it. Raises OutputError."""
    return write_bytes(path, glb_bytes(mesh))


def _rows(prefix: str, values: Float[np.ndarray, "n c"]) -> str:
    buffer = io.StringIO()
    np.savetxt(buffer, values, fmt=f"{prefix} " + " ".join(["%.7g"] * values.shape[1]))
    return buffer.getvalue()


def write_obj(mesh: Mesh, path: Path) -> list[Path]:
    """Write `NAME.obj` with `NAME.mtl` and `NAME_texture.png` beside it; returns the three. Raises OutputError.

    The texture and the material are written first, so that an OBJ that is there always finds them.
    """
    check_surface(mesh)
    material, texture = path.with_suffix(".mtl"), path.with_name(f"{path.stem}_texture.png")
    up = np.stack((mesh.uv[:, 0], 1 - mesh.uv[:, 1]), axis=1)  # OBJ counts v from the bottom
    corner = mesh.faces + 1  # and vertices from 1
    body = io.StringIO()
    np.savetxt(body, np.repeat(corner, 3, axis=1), fmt="f %d/%d/%d %d/%d/%d %d/%d/%d")
    lines = (
        f"mtllib {material.name}\no object\n"
        + _rows("v", mesh.vertices)
        + _rows("vt", up)
        + _rows("vn", mesh.normals)
        + "usemtl bozzetto\ns 1\n"  # without a smoothing group Blender counts every face as flat, whatever its normals
        + body.getvalue()
    )
    matt = f"newmtl bozzetto\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {texture.name}\n"
    return [write_png(Image.fromarray(mesh.texture), texture), write_text(material, matt), write_text(path, lines)]
