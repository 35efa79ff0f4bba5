from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from closed import assert_closed, volume

from bozzetto.export.glb import write_glb
from bozzetto.export.mesh import Mesh, mesh_of, to_gltf_points, unit_scale
from bozzetto.export.mesh_files import write_stl
from bozzetto.export.options import MeshOptions, mesh_for
from bozzetto.export.solid import BASE, close_back, rim_edges, without_pinches
from bozzetto.geometry.camera import unproject
from bozzetto.geometry.heightfield import grid_faces
from bozzetto.priors.box import box
from bozzetto.results import Reconstruction
from bozzetto.types import BORDER_COLUMNS, Camera, DepthRange

SOLIDS = {
    "object": MeshOptions(solid=True),
    "background": MeshOptions(solid=True, background=True),
    "cut": MeshOptions(solid=True, max_stretch=1.0),
    "cut background": MeshOptions(solid=True, background=True, max_stretch=1.0),
}

every_solid = pytest.mark.parametrize("options", SOLIDS.values(), ids=SOLIDS)


def flat(scene: Reconstruction, depth: torch.Tensor) -> Reconstruction:
    """A whole picture of a depth, with normals that make nothing of it a wall."""
    facing = torch.zeros_like(scene.normal)
    facing[2] = -1
    return dataclasses.replace(scene, depth=depth, normal=facing, canonical_mask=torch.ones_like(scene.depth))


def eye_z(camera: Camera) -> float:
    """Distance of the eye from the mesh's origin, which is the pivot."""
    return unit_scale(camera)


@every_solid
def test_a_solid_is_closed_and_looks_outward(options: MeshOptions, scene: Reconstruction) -> None:
    mesh = mesh_for(scene, options)
    assert_closed(mesh.vertices, mesh.faces)
    assert volume(mesh.vertices, mesh.faces) > 0.01
    assert np.abs(np.linalg.norm(mesh.normals, axis=1) - 1).max() < 1e-5
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    facing = (np.cross(b - a, c - a) * mesh.normals[mesh.faces].mean(axis=1)).sum(axis=1)
    assert (facing > 0).mean() > 0.995  # at a rim's sharp corners a mean normal may lie behind a sliver


@every_solid
def test_the_files_are_closed_too_and_as_large_as_they_say(
    options: MeshOptions, scene: Reconstruction, tmp_path: Path
) -> None:
    mesh = mesh_for(scene, options)
    stl = trimesh.load(write_stl(mesh, tmp_path / "m.stl", 80.0), process=False)
    assert len(stl.faces) == len(mesh.faces)
    assert_closed(np.asarray(stl.vertices, np.float32), stl.faces)
    inside = volume(mesh.vertices, mesh.faces)
    assert volume(np.asarray(stl.vertices), stl.faces) == pytest.approx(inside * 80.0**3, rel=1e-5)
    (glb,) = trimesh.load(write_glb(mesh, tmp_path / "m.glb"), process=False).geometry.values()
    assert_closed(np.asarray(glb.vertices, np.float32), glb.faces)
    assert volume(np.asarray(glb.vertices), glb.faces) == pytest.approx(inside, rel=1e-5)


def test_a_slab_has_the_volume_of_a_cut_pyramid(scene: Reconstruction) -> None:
    """A plane at the pivot is a square of side 1; what lies behind it between the lines of sight widens with depth."""
    far = eye_z(scene.camera)
    mesh = close_back(mesh_of(flat(scene, torch.ones_like(scene.depth))), scene.camera, base=0.3)
    assert volume(mesh.vertices, mesh.faces) == pytest.approx(far / 3 * ((1 + 0.3 / far) ** 3 - 1), rel=1e-5)
    assert mesh.vertices[:, 2].min() == pytest.approx(-0.3)
    assert_closed(mesh.vertices, mesh.faces)


def test_a_box_prior_has_the_volume_of_two_cut_pyramids(scene: Reconstruction) -> None:
    """The box at near in the plane at far: exact but for the ramps, one pixel wide, between the two."""
    size, limits = scene.size, DepthRange(0.95, 1.05)
    mask = torch.zeros(1, 1, size, size)
    top, left, height, width = 6, 8, 18, 14
    mask[..., top : top + height, left : left + width] = 1
    shaped = flat(scene, box(mask, limits)[0])
    mesh = mesh_for(shaped, MeshOptions(solid=True, background=True))
    assert_closed(mesh.vertices, mesh.faces)
    scale, step = unit_scale(scene.camera), 1 / (size - 1)
    back = limits.far + BASE / scale

    def frustum(area: float, near: float) -> float:
        """Between depths, over a patch of so much of the unit picture plane, in mesh units."""
        return area * scale * (back**3 - near**3) / 3

    whole = 1.0 * (1 - 2 * BORDER_COLUMNS * step)  # the outermost columns are left out
    inner, outer = (height - 1) * (width - 1) * step**2, (height + 1) * (width + 1) * step**2
    least = frustum(inner, limits.near) + frustum(whole - inner, limits.far)
    most = frustum(outer, limits.near) + frustum(whole - outer, limits.far)
    assert least < volume(mesh.vertices, mesh.faces) < most


def test_the_volume_is_what_lies_behind_every_face(scene: Reconstruction) -> None:
    """Seen from the eye a solid is, face by face, a large pyramid to its back less a small one to its front."""
    mesh = mesh_of(scene)
    solid = close_back(mesh, scene.camera)
    eye = np.array((0.0, 0.0, eye_z(scene.camera)))
    front = mesh.vertices[without_pinches(mesh.faces)] - eye
    floor = solid.vertices[:, 2].min() - eye[2]
    behind = front * (floor / front[..., 2:])
    pyramids = [np.linalg.det(corners.astype(np.float64)).sum() / -6 for corners in (behind, front)]
    assert volume(solid.vertices, solid.faces) == pytest.approx(abs(pyramids[0] - pyramids[1]), rel=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_any_set_of_faces_of_a_grid_becomes_a_solid(seed: int) -> None:
    """Islands, holes and corners that touch in a point."""
    rng, camera = np.random.default_rng(seed), Camera(9)
    depth = torch.from_numpy(rng.uniform(0.9, 1.1, (1, 1, 9, 9)))
    points = to_gltf_points(unproject(depth, camera), camera).reshape(-1, 3).numpy().astype(np.float32)
    faces = grid_faces(9).numpy()
    faces = faces[rng.random(len(faces)) < (0.15, 0.4, 0.6, 0.85)[seed % 4]]
    blank = np.zeros((len(points), 3), np.float32)
    mesh = Mesh(points, blank, blank[:, :2], faces, np.zeros((4, 4, 3), np.uint8))
    solid = close_back(mesh, camera)
    assert_closed(solid.vertices, solid.faces)
    assert volume(solid.vertices, solid.faces) > 0


def test_the_smaller_of_two_corners_that_touch_goes() -> None:
    bow = np.array([[0, 1, 2], [0, 2, 3], [0, 4, 5]])
    assert without_pinches(bow).tolist() == [[0, 1, 2], [0, 2, 3]]
    whole = grid_faces(4).numpy()
    assert without_pinches(whole) is whole


def test_the_rim_of_a_grid_is_its_border_once_around() -> None:
    rim = rim_edges(grid_faces(5).numpy())
    assert len(rim) == 16
    assert sorted(rim[:, 0].tolist()) == sorted(rim[:, 1].tolist())
    assert set(rim.reshape(-1).tolist()) == {v for v in range(25) if v % 5 in (0, 4) or v // 5 in (0, 4)}


def test_only_jumps_that_are_asked_for_are_cut_from_a_solid(scene: Reconstruction) -> None:
    assert MeshOptions(solid=True).stretch == math.inf
    assert MeshOptions(solid=True, max_stretch=3.0).stretch == 3.0
    assert MeshOptions().stretch == 10.0
    whole, cut = (mesh_for(scene, SOLIDS[name]) for name in ("background", "cut background"))
    assert volume(cut.vertices, cut.faces) < volume(whole.vertices, whole.faces)
