from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from bozzetto.errors import OutputError
from bozzetto.export.glb import glb_bytes, write_glb, write_obj
from bozzetto.export.mesh import Mesh, mesh_of
from bozzetto.results import Reconstruction


@pytest.fixture(scope="module")
def mesh(scene: Reconstruction) -> Mesh:
    return mesh_of(scene)


def _only(path: Path) -> trimesh.Trimesh:
    loaded = trimesh.load(path, process=False, maintain_order=True)
    if isinstance(loaded, trimesh.Scene):
        (loaded,) = loaded.geometry.values()
    return loaded


def _check_same(loaded: trimesh.Trimesh, mesh: Mesh, texture: Image.Image) -> None:
    assert np.allclose(loaded.vertices, mesh.vertices, atol=1e-6)
    assert np.array_equal(loaded.faces, mesh.faces)
    assert np.allclose(loaded.vertex_normals, mesh.normals, atol=1e-5)
    uv = np.asarray(loaded.visual.uv)
    assert np.allclose(uv, np.stack((mesh.uv[:, 0], 1 - mesh.uv[:, 1]), axis=1), atol=1e-6)
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert np.array_equal(np.array(texture.convert("RGB")), mesh.texture)
    # the winding that the file carries gives normals on the side the stored ones are on
    agree = (loaded.face_normals * mesh.normals[mesh.faces].mean(axis=1)).sum(axis=1)
    assert (agree > 0).all()


def test_glb_reloads_as_the_mesh_it_was(mesh: Mesh, tmp_path: Path) -> None:
    loaded = _only(write_glb(mesh, tmp_path / "m.glb"))
    material = loaded.visual.material
    _check_same(loaded, mesh, material.baseColorTexture)
    assert material.doubleSided
    assert material.metallicFactor == 0


def _parts(content: bytes) -> tuple[dict, bytes]:
    """The document of a GLB and its data."""
    assert content[:4] == b"glTF"
    length = int.from_bytes(content[12:16], "little")
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def test_glb_stores_gltf_texture_coordinates(mesh: Mesh) -> None:
    """Read from the bytes themselves: v counts down from the top, whatever a library does on loading."""
    document, data = _parts(glb_bytes(mesh))
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    accessor = document["accessors"][attributes["TEXCOORD_0"]]
    view = document["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    uv = np.frombuffer(data, np.float32, 2 * accessor["count"], start).reshape(-1, 2)
    assert np.allclose(uv, mesh.uv, atol=1e-6)
    assert "NORMAL" in attributes
    assert document["images"][0]["mimeType"] == "image/png"


def test_glb_names_its_object_and_does_not_repeat_its_texture(mesh: Mesh) -> None:
    document, _ = _parts(glb_bytes(mesh))
    assert [node["name"] for node in document["nodes"]] == ["object"]
    assert [part["name"] for part in document["meshes"]] == ["object"]
    assert document["images"][0]["name"] == "texture"
    sampler = document["samplers"][document["textures"][0]["sampler"]]
    assert (sampler["wrapS"], sampler["wrapT"]) == (33071, 33071)  # CLAMP_TO_EDGE


def test_obj_reloads_with_material_and_texture(mesh: Mesh, tmp_path: Path) -> None:
    texture, material, obj = write_obj(mesh, tmp_path / "m.obj")
    assert [p.name for p in (texture, material, obj)] == ["m_texture.png", "m.mtl", "m.obj"]
    assert "map_Kd m_texture.png" in material.read_text()
    lines = obj.read_text().splitlines()
    assert lines.index("s 1") < min(i for i, line in enumerate(lines) if line.startswith("f "))  # all faces are smooth
    loaded = _only(obj)
    _check_same(loaded, mesh, loaded.visual.material.image)


def test_the_same_mesh_gives_the_same_bytes(mesh: Mesh) -> None:
    assert glb_bytes(mesh) == glb_bytes(mesh)


def test_a_mesh_of_nothing_is_refused(mesh: Mesh, tmp_path: Path) -> None:
    empty = dataclasses.replace(mesh, faces=mesh.faces[:0])
    for attempt in (lambda: write_glb(empty, tmp_path / "m.glb"), lambda: write_obj(empty, tmp_path / "m.obj")):
        with pytest.raises(OutputError, match="No surface"):
            attempt()
    assert list(tmp_path.iterdir()) == []
