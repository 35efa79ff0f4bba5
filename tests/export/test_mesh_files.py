from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import trimesh

from bozzetto.errors import InputError, OutputError
from bozzetto.export.mesh import Mesh, mesh_of, stretch
from bozzetto.export.mesh_files import ply_bytes, vertex_colours, write_ply, write_stl
from bozzetto.export.options import MeshOptions, mesh_for
from bozzetto.results import Reconstruction
from bozzetto.types import BORDER_COLUMNS


@pytest.fixture(scope="module")
def mesh(scene: Reconstruction) -> Mesh:
    return mesh_of(scene)


def test_ply_reloads_as_the_mesh_it_was(mesh: Mesh, tmp_path: Path) -> None:
    loaded = trimesh.load(write_ply(mesh, tmp_path / "m.ply"), process=False)
    assert np.array_equal(np.asarray(loaded.vertices, np.float32), mesh.vertices)
    assert np.array_equal(loaded.faces, mesh.faces)
    assert np.allclose(loaded.vertex_normals, mesh.normals, atol=1e-6)
    assert np.array_equal(loaded.visual.vertex_colors[:, :3], vertex_colours(mesh))
    assert ply_bytes(mesh).startswith(b"ply\nformat binary_little_endian 1.0\ncomment x right, y up,")


def test_a_vertex_on_a_pixel_has_the_pixels_colour(scene: Reconstruction) -> None:
    """Every texel that a pixel lies on keeps its colour, so the vertices of a whole grid are the picture."""
    whole = mesh_of(scene, background=True)
    picture = (scene.albedo * scene.shading).clamp(0, 1).permute(1, 2, 0).numpy()
    inner = picture[:, BORDER_COLUMNS : scene.size - BORDER_COLUMNS].reshape(-1, 3)
    colours = vertex_colours(mesh_of(scene, background=True, max_stretch=np.inf)) / 255
    assert len(whole.vertices) <= len(colours) == len(inner)
    assert np.abs(colours - inner).max() <= 1 / 255 + 1e-6


def test_stl_has_the_faces_in_millimetres(mesh: Mesh, tmp_path: Path) -> None:
    path = write_stl(mesh, tmp_path / "m.stl", 150.0)
    assert path.stat().st_size == 84 + 50 * len(mesh.faces)
    loaded = trimesh.load(path, process=False)
    assert np.allclose(loaded.triangles, mesh.vertices[mesh.faces] * 150.0, atol=1e-4)


def test_nothing_is_written_of_no_surface(mesh: Mesh, tmp_path: Path) -> None:
    empty = dataclasses.replace(mesh, faces=mesh.faces[:0])
    for attempt in (lambda: write_ply(empty, tmp_path / "m.ply"), lambda: write_stl(empty, tmp_path / "m.stl", 1.0)):
        with pytest.raises(OutputError, match="No surface"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_the_background_is_kept_whole_or_cut_at_jumps(scene: Reconstruction) -> None:
    size, kept = scene.size, MeshOptions(background=True, max_stretch=np.inf)
    columns = size - 1 - 2 * BORDER_COLUMNS
    assert len(mesh_for(scene, kept).faces) == 2 * (size - 1) * columns
    counts = []
    for limit in (8.0, 2.0, 0.5):
        mesh = mesh_for(scene, dataclasses.replace(kept, max_stretch=limit))
        assert stretch(mesh.vertices[:, 2], mesh.uv, mesh.faces).max() <= limit * (1 + 1e-4)
        counts.append(len(mesh.faces))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0] < 2 * (size - 1) * columns
    # The backdrop behind the dome is its own colour and not the dome's, carried outward.
    corner = mesh_of(scene, background=True).texture[0, -1] / 255
    assert np.abs(corner - (scene.albedo * scene.shading).clamp(0, 1)[:, 0, -1].numpy()).max() < 0.01


@pytest.mark.parametrize("bad", [{"max_stretch": 0.0}, {"max_stretch": float("nan")}, {"width_mm": -1.0}])
def test_odd_numbers_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="cannot be"):
        MeshOptions(**bad)


def test_usdz_holds_the_mesh_upright_with_its_texture(mesh: Mesh, tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="usd-core is not installed")
    from pxr import UsdGeom, UsdShade

    from bozzetto.export.usdz import write_usdz

    path = write_usdz(mesh, tmp_path / "m.usdz")
    assert [p.name for p in tmp_path.iterdir()] == ["m.usdz"]
    import zipfile

    with zipfile.ZipFile(path) as packed:
        infos = packed.infolist()
        assert [info.filename for info in infos] == ["object.usdc", "texture.png"]
        assert all(info.compress_type == zipfile.ZIP_STORED for info in infos)
    stage = usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert stage.GetDefaultPrim().GetPath() == "/object"
    surface = UsdGeom.Mesh(stage.GetPrimAtPath("/object/mesh"))
    assert np.array_equal(np.array(surface.GetPointsAttr().Get()), mesh.vertices)
    assert np.array_equal(np.array(surface.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), mesh.faces)
    assert np.array_equal(np.array(surface.GetNormalsAttr().Get()), mesh.normals)
    st = np.array(UsdGeom.PrimvarsAPI(surface).GetPrimvar("st").Get())
    assert np.allclose(st, np.stack((mesh.uv[:, 0], 1 - mesh.uv[:, 1]), axis=1), atol=1e-6)
    assert str(surface.GetOrientationAttr().Get()) == "rightHanded"  # counter-clockwise is outward
    material, _ = UsdShade.MaterialBindingAPI(surface).ComputeBoundMaterial()
    source = material.ComputeSurfaceSource()[0]
    assert source.GetIdAttr().Get() == "UsdPreviewSurface"
    picture = stage.GetPrimAtPath("/object/material/texture")
    assert UsdShade.Shader(picture).GetInput("file").Get().path in ("texture.png", "./texture.png")


def test_without_its_package_usdz_is_refused_before_anything_is_written(
    scene: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from bozzetto.errors import MissingExtraError
    from bozzetto.export.formats import export_all

    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingExtraError, match=r'usd-core: run `pip install "bozzetto\[usd\]"`'):
        export_all(scene, tmp_path / "out", ["glb", "usdz"])
    assert not (tmp_path / "out").exists()
