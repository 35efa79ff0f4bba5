"""Every form of a GLB before the Khronos validator: no error, no warning."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bozzetto.export.glb import write_glb
from bozzetto.export.options import MeshOptions, mesh_for
from bozzetto.results import Reconstruction

HERE = Path(__file__).parent / "validator"
VARIANTS = {
    "plain": MeshOptions(),
    "albedo": MeshOptions(texture="albedo"),
    "cut": MeshOptions(max_stretch=0.5),
    "background": MeshOptions(background=True),
    "solid": MeshOptions(solid=True),
    "solid-cut": MeshOptions(solid=True, max_stretch=0.5),
    "solid-background": MeshOptions(solid=True, background=True),
}


def validate(paths: list[Path]) -> dict[str, dict]:
    """The validator's report on each file."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    if not (HERE / "node_modules" / "gltf-validator").is_dir():
        pytest.skip("gltf-validator is not installed: make validator")
    command = [node, str(HERE / "validate.cjs"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return {Path(path).stem: report for path, report in json.loads(done.stdout).items()}


def test_the_validator_finds_no_error_and_no_warning(scene: Reconstruction, tmp_path: Path) -> None:
    meshes = {name: mesh_for(scene, options) for name, options in VARIANTS.items()}
    reports = validate([write_glb(mesh, tmp_path / f"{name}.glb") for name, mesh in meshes.items()])
    assert set(reports) == set(VARIANTS)
    for name, report in reports.items():
        issues = report["issues"]
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
        told = report["info"]
        assert told["totalTriangleCount"] == len(meshes[name].faces)
        assert told["totalVertexCount"] == len(meshes[name].vertices)
        assert told["resources"][-1]["mimeType"] == "image/png"


def test_the_validator_would_find_one(scene: Reconstruction, tmp_path: Path) -> None:
    path = write_glb(mesh_for(scene, MeshOptions()), tmp_path / "broken.glb")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"POSITION"', b'"POSITIOM"', 1))
    assert validate([path])["broken"]["issues"]["numErrors"] > 0
