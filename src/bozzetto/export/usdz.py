"""The mesh as USDZ, for AR viewers. Pixar's library writes it: the extra `usd`."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bozzetto.errors import MissingExtraError, OutputError
from bozzetto.export.files import writing
from bozzetto.export.glb import check_surface
from bozzetto.export.images import write_png
from bozzetto.export.mesh import Mesh

INSTALL = 'pip install "bozzetto[usd]"'


def _library() -> Any:
    """Pixar's modules as attributes of one namespace. Raises MissingExtraError."""
    try:
        pxr = importlib.import_module("pxr")
        for name in ("Gf", "Sdf", "Usd", "UsdGeom", "UsdShade", "UsdUtils", "Vt"):
            importlib.import_module(f"pxr.{name}")
    except ImportError as error:
        raise MissingExtraError(f"USDZ files need the package usd-core: run `{INSTALL}`.") from error
    return pxr


def check_usd() -> None:
    """Raise MissingExtraError where USDZ files cannot be written."""
    _library()


def _add_material(pxr: Any, stage: Any, texture: str) -> Any:
    """A matt preview surface whose colour is the texture; returns the material."""
    shade, sdf = pxr.UsdShade, pxr.Sdf
    material = shade.Material.Define(stage, "/object/material")
    surface = shade.Shader.Define(stage, "/object/material/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", sdf.ValueTypeNames.Float).Set(1.0)
    surface.CreateInput("metallic", sdf.ValueTypeNames.Float).Set(0.0)
    reader = shade.Shader.Define(stage, "/object/material/uv")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", sdf.ValueTypeNames.String).Set("st")
    picture = shade.Shader.Define(stage, "/object/material/texture")
    picture.CreateIdAttr("UsdUVTexture")
    picture.CreateInput("file", sdf.ValueTypeNames.Asset).Set(texture)
    picture.CreateInput("sourceColorSpace", sdf.ValueTypeNames.Token).Set("sRGB")
    for side in ("wrapS", "wrapT"):
        picture.CreateInput(side, sdf.ValueTypeNames.Token).Set("clamp")
    at = picture.CreateInput("st", sdf.ValueTypeNames.Float2)
    at.ConnectToSource(reader.CreateOutput("result", sdf.ValueTypeNames.Float2))
    colour = surface.CreateInput("diffuseColor", sdf.ValueTypeNames.Color3f)
    colour.ConnectToSource(picture.CreateOutput("rgb", sdf.ValueTypeNames.Float3))
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", sdf.ValueTypeNames.Token))
    return material


def _write_stage(pxr: Any, mesh: Mesh, path: Path, texture: str) -> None:
    vt, sdf, geom = pxr.Vt, pxr.Sdf, pxr.UsdGeom
    stage = pxr.Usd.Stage.CreateNew(str(path))
    geom.SetStageUpAxis(stage, geom.Tokens.y)
    geom.SetStageMetersPerUnit(stage, 1.0)  # as glTF has it
    stage.SetDefaultPrim(geom.Xform.Define(stage, "/object").GetPrim())
    surface = geom.Mesh.Define(stage, "/object/mesh")
    surface.CreatePointsAttr(vt.Vec3fArray.FromNumpy(mesh.vertices))
    surface.CreateFaceVertexCountsAttr(vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    surface.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(mesh.faces.reshape(-1).astype(np.int32)))
    surface.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(mesh.normals))
    surface.SetNormalsInterpolation(geom.Tokens.vertex)
    surface.CreateSubdivisionSchemeAttr(geom.Tokens.none)
    surface.CreateDoubleSidedAttr(True)
    ends = np.stack((mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)))
    surface.CreateExtentAttr(vt.Vec3fArray.FromNumpy(ends))
    up = np.stack((mesh.uv[:, 0], 1 - mesh.uv[:, 1]), axis=1)  # USD counts v from the bottom
    primvars = geom.PrimvarsAPI(surface)
    st = primvars.CreatePrimvar("st", sdf.ValueTypeNames.TexCoord2fArray, geom.Tokens.vertex)
    st.Set(vt.Vec2fArray.FromNumpy(np.ascontiguousarray(up, dtype=np.float32)))
    pxr.UsdShade.MaterialBindingAPI.Apply(surface.GetPrim()).Bind(_add_material(pxr, stage, texture))
    stage.GetRootLayer().Save()


def write_usdz(mesh: Mesh, path: Path) -> Path:
    """Write `path` (.usdz), whole or not at all; returns it.

    Raises:
        MissingExtraError: usd-core is not installed.
        OutputError: there is no surface, or the system refused to write.
    """
    check_surface(mesh)
    pxr = _library()
    with writing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        texture = write_png(Image.fromarray(mesh.texture), Path(folder) / "texture.png")
        scene = Path(folder) / "object.usdc"
        _write_stage(pxr, mesh, scene, f"./{texture.name}")  # beside it, also in the package
        if not pxr.UsdUtils.CreateNewUsdzPackage(pxr.Sdf.AssetPath(str(scene)), str(temporary)):
            raise OutputError(f"Cannot write {path}: the USD library could not pack it; check space and permissions.")
    return path
