"""Mesh files in Blender: upright, textured, shaded. Needs a Python that has Blender: `make test-blender`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bozzetto.export.formats import FORMATS
from bozzetto.export.mesh import Mesh, unit_scale
from bozzetto.export.mesh_files import vertex_colours
from bozzetto.export.options import ExportOptions, MeshOptions, mesh_for
from bozzetto.geometry.pose import PIVOT_DEPTH
from bozzetto.results import Reconstruction

pytestmark = pytest.mark.slow

LOOK = Path(__file__).parent / "blender" / "look.py"
VARIANTS = {
    "plain": MeshOptions(),
    "albedo": MeshOptions(texture="albedo"),
    "solid": MeshOptions(solid=True),
    "solid-cut": MeshOptions(solid=True, max_stretch=0.5),
    "solid-background": MeshOptions(solid=True, background=True),
}
HAS_USD = importlib.util.find_spec("pxr") is not None
USDZ = pytest.param("usdz", marks=pytest.mark.skipif(not HAS_USD, reason="usd-core is not installed"))
every_textured = pytest.mark.parametrize("kind", ["glb", "obj", USDZ])
every_kind = pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl", USDZ])

# Our files' x right, y up, z toward the viewer as Blender's x right, y away from the viewer, z up.
STANDING = np.array(((1, 0, 0), (0, 0, -1), (0, 1, 0)))
COMPLAINT = re.compile(r"warn|error|fail|cannot|could not|unknown|invalid|unsupported|missing", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    folder: Path
    said: list[str]
    files: dict[str, dict]

    def __call__(self, variant: str, name: str) -> dict:
        return self.files[str(self.folder / variant / f"mesh.{name}")]

    def picture(self, kind: str, light: str) -> np.ndarray:
        """What was drawn of the albedo's mesh, [S, S, 4] in [0, 1]."""
        return np.asarray(Image.open(self.folder / "albedo" / f"mesh.{kind}-{light}.png").convert("RGBA")) / 255


@pytest.fixture(scope="module")
def blender() -> str:
    """A Python that has Blender."""
    python = os.environ.get("BOZZETTO_BLENDER", "")
    if not python:
        pytest.skip("BOZZETTO_BLENDER names no Python: make test-blender")
    try:
        found = subprocess.run([python, "-I", "-c", "import bpy"], capture_output=True, timeout=120).returncode == 0
    except OSError:
        found = False
    if not found:
        pytest.skip(f"{python} cannot import bpy")
    return python


def look(
    blender: str, scene: Reconstruction, files: list[Path], drawn: Sequence[Path] = ()
) -> tuple[list[str], dict[str, dict]]:
    """What Blender said, line by line, and the facts of each file; some are drawn, by the reconstruction's camera."""
    size = scene.camera.size
    # The picture's outermost pixel centres span the field of view; a camera's field reaches half a pixel farther.
    half = math.tan(math.radians(scene.camera.fov_deg) / 2) * size / (size - 1)
    numbers = {"eye": unit_scale(scene.camera) * PIVOT_DEPTH, "angle": 2 * math.atan(half), "px": size}
    flags = [f"--{name}={value}" for name, value in numbers.items()] + [f"--draw={path}" for path in drawn]
    command = [blender, "-I", str(LOOK), *flags, *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    (facts,) = (line for line in done.stdout.splitlines() if line.startswith('{"version"'))
    return [line for line in done.stdout.splitlines() if line != facts], json.loads(facts)["files"]


def write(scene: Reconstruction, kind: str, out: Path, options: MeshOptions) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    return FORMATS[kind](scene, out, ExportOptions(mesh=options))[-1]


@pytest.fixture(scope="module")
def seen(blender: str, scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("blender")
    kinds = [kind for kind in ("glb", "obj", "ply", "stl", "usdz") if kind != "usdz" or HAS_USD]
    files = [write(scene, kind, folder / name, options) for name, options in VARIANTS.items() for kind in kinds]
    drawn = [path for path in files if path.parent.name == "albedo" and path.suffix not in (".ply", ".stl")]
    return Seen(folder, *look(blender, scene, files, drawn))


@pytest.fixture(scope="module")
def mesh(scene: Reconstruction) -> Mesh:
    return mesh_for(scene, VARIANTS["plain"])


def corners(values: np.ndarray, mesh: Mesh) -> np.ndarray:
    """A vertex's value at each corner of each face."""
    return values[mesh.faces.reshape(-1)]


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between unit vectors."""
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=1) / 2, 0, 1)))


def check_standing(facts: dict, mesh: Mesh) -> None:
    at = np.array(facts["corners"])
    assert np.abs(at - corners(mesh.vertices, mesh) @ STANDING.T).max() < 1e-6
    # The nose is what comes nearest to whom it looks at; it lies in the middle, a little below it.
    nose = at[at[:, 1].argmin()]
    assert nose[1] < -0.3
    assert abs(nose[0]) < 0.1
    assert -0.2 < nose[2] < 0
    assert 0.7 < np.ptp(at[:, 2]) < 0.8  # the dome is 0.8 of a picture that is 1 wide; its rim lies far back


def test_nothing_is_complained_of(seen: Seen) -> None:
    assert [line for line in seen.said if COMPLAINT.search(line)] == []
    assert all(facts["result"] == ["FINISHED"] for facts in seen.files.values())


def test_a_complaint_would_be_heard(blender: str, scene: Reconstruction, tmp_path: Path) -> None:
    path = write(scene, "obj", tmp_path, MeshOptions())
    (tmp_path / "mesh_texture.png").unlink()
    path.with_suffix(".mtl").write_text(path.with_suffix(".mtl").read_text().replace("map_Kd mesh", "map_Kd other"))
    said, _ = look(blender, scene, [path])
    assert [line for line in said if COMPLAINT.search(line)]


@every_textured
def test_it_stands_upright_and_looks_at_the_front_view(seen: Seen, mesh: Mesh, kind: str) -> None:
    check_standing(seen("plain", kind), mesh)


def test_a_ply_lies_on_its_back_until_told_what_is_up(seen: Seen, mesh: Mesh) -> None:
    assert np.array_equal(np.array(seen("plain", "ply")["corners"], np.float32), corners(mesh.vertices, mesh))
    check_standing(seen("plain", "ply turned"), mesh)


def test_an_stl_lies_on_its_back_in_millimetres(seen: Seen, mesh: Mesh) -> None:
    found = np.array(seen("plain", "stl")["corners"])
    assert np.abs(found - corners(mesh.vertices, mesh) * VARIANTS["plain"].width_mm).max() < 1e-4


@every_textured
def test_the_texture_is_the_base_colour(seen: Seen, mesh: Mesh, kind: str) -> None:
    facts = seen("plain", kind)
    (material,) = facts["materials"]
    assert material["surface"] == "ShaderNodeBsdfPrincipled"
    assert material["sources"] == ["ShaderNodeTexImage"]
    assert (material["metallic"], material["roughness"]) == (0, 1)
    assert material["size"] == [*mesh.texture.shape[:2]]
    assert material["sha256"] == hashlib.sha256(mesh.texture.tobytes()).hexdigest()
    assert material["colour_space"] == "sRGB"
    assert material["extension"] == "EXTEND" or kind == "obj"  # a material of OBJ cannot say so to all programs
    (uv,) = facts["uv"]
    up = np.stack((mesh.uv[:, 0], 1 - mesh.uv[:, 1]), axis=1)  # Blender counts v from the bottom
    assert np.abs(np.array(uv) - corners(up, mesh)).max() < 1e-6


@pytest.mark.parametrize("variant", ["plain", "solid"])
@pytest.mark.parametrize("kind", ["glb", "obj", "ply turned"])
def test_the_normals_are_those_of_the_file(seen: Seen, scene: Reconstruction, kind: str, variant: str) -> None:
    """Not so of USDZ: from these Blender 4.2 takes none that belong to vertices, and makes its own."""
    facts, mesh = seen(variant, kind), mesh_for(scene, VARIANTS[variant])
    assert facts["own_normals"]
    off = degrees(np.array(facts["normals"]), corners(mesh.normals, mesh) @ STANDING.T)
    assert off.max() < 0.5  # Blender keeps angles to its own normals, in 16 bits


@every_kind
def test_the_surface_is_smooth(seen: Seen, kind: str) -> None:
    assert seen("plain", kind)["flat_faces"] == 0


def test_a_ply_has_its_colours(seen: Seen, mesh: Mesh) -> None:
    (colours,) = seen("plain", "ply")["colours"]
    found = np.array(colours)[:, :3] * 255
    assert np.abs(found - corners(vertex_colours(mesh), mesh)).max() < 0.1


@every_kind
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("solid")])
def test_a_solid_is_manifold(seen: Seen, kind: str, variant: str) -> None:
    facts = seen(variant, kind)
    assert (facts["open_edges"], facts["turned_edges"], facts["open_vertices"]) == (0, 0, 0)
    assert facts["volume"] > 0
    assert seen("plain", kind)["open_edges"] > 0  # what is not closed is not called so


def inner(scene: Reconstruction) -> np.ndarray:
    """Pixels of the object that the rim does not touch, [S, S]."""
    mask = scene.canonical_mask[0].numpy() >= 0.99
    for axis in (0, 1):
        mask = mask & np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    return mask


@every_textured
def test_under_an_even_sky_it_has_the_pictures_colours(seen: Seen, scene: Reconstruction, kind: str) -> None:
    picture, inside = seen.picture(kind, "even"), inner(scene)
    off = np.abs(picture[..., :3] - scene.albedo.permute(1, 2, 0).numpy())[inside]
    assert off.mean() < 0.03  # a rough surface of glTF still has some sheen


def linear(picture: np.ndarray) -> np.ndarray:
    """Brightness as light, of a picture in display values; [S, S]."""
    rgb = picture[..., :3]
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4).mean(axis=-1)


@every_textured
@pytest.mark.parametrize(("light", "x"), [("left", -1), ("right", 1)])
def test_a_lamp_shades_it_by_its_normals(seen: Seen, scene: Reconstruction, kind: str, light: str, x: int) -> None:
    """Lit by one lamp over lit from everywhere is the cosine, but for the nose's shadow and a little sheen."""
    lit, even = (linear(seen.picture(kind, name))[inner(scene)] for name in (light, "even"))
    toward = np.array((x, 0, -1)) / math.sqrt(2)
    cosine = (scene.normal.permute(1, 2, 0).numpy()[inner(scene)] @ toward).clip(min=0)
    assert np.corrcoef(lit / even, cosine)[0, 1] > 0.99
    assert np.abs(lit / even - cosine).mean() < 0.05
