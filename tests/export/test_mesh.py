from __future__ import annotations

import dataclasses

import numpy as np
import torch

from bozzetto.export.mesh import Mesh, mesh_of, stretch, texture_picture, to_gltf_directions, to_gltf_points
from bozzetto.results import Reconstruction
from bozzetto.types import Camera


def _face_normals(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return np.cross(b - a, c - a)


def _flat(scene: Reconstruction, depth: torch.Tensor | None = None) -> Reconstruction:
    """A whole picture with everything facing the camera, at depth 1 unless told otherwise."""
    facing = torch.zeros_like(scene.normal)
    facing[2] = -1
    one = torch.ones_like(scene.depth)
    return dataclasses.replace(scene, depth=one if depth is None else depth, normal=facing, canonical_mask=one)


def test_the_flip_is_a_rotation_and_turns_up_up_and_near_near() -> None:
    flip = to_gltf_directions(torch.eye(3, dtype=torch.float64))
    assert torch.det(flip) == 1
    assert torch.equal(flip @ flip, torch.eye(3, dtype=torch.float64))
    camera = Camera(16)
    top, near = to_gltf_points(torch.tensor([[0.0, -0.05, 1.0], [0.0, 0.0, 0.95]]), camera)
    assert top[1] > 0
    assert near[2] > 0
    assert torch.equal(to_gltf_points(torch.tensor([0.0, 0.0, 1.0]), camera), torch.zeros(3))


def test_a_plane_at_the_pivot_is_a_unit_square(scene: Reconstruction) -> None:
    mesh = mesh_of(_flat(scene))
    size = scene.camera.size
    assert mesh.vertices.shape == (size * size, 3)
    assert len(mesh.faces) == 2 * (size - 1) ** 2
    assert np.allclose(mesh.vertices.min(0), (-0.5, -0.5, 0), atol=1e-6)
    assert np.allclose(mesh.vertices.max(0), (0.5, 0.5, 0), atol=1e-6)
    assert np.allclose(mesh.normals, (0, 0, 1), atol=1e-6)
    # counter-clockwise seen from the viewer on +z, and the area is the square's
    assert np.allclose(_face_normals(mesh).sum(0) / 2, (0, 0, 1), atol=1e-5)


def test_winding_agrees_with_normals_and_normals_are_unit(scene: Reconstruction) -> None:
    mesh = mesh_of(scene)
    face_normal = _face_normals(mesh)
    corner_normal = mesh.normals[mesh.faces].mean(axis=1)
    assert len(mesh.faces) > 500
    assert ((face_normal * corner_normal).sum(axis=1) > 0).all()
    assert (face_normal[:, 2] > 0).all()  # a height field shows all of itself to the viewer
    assert np.abs(np.linalg.norm(mesh.normals, axis=1) - 1).max() < 1e-6


def test_every_corner_finds_its_own_colour_in_the_texture(scene: Reconstruction) -> None:
    whole = _flat(scene)
    mesh = mesh_of(whole, texture="albedo")
    assert mesh.texture.shape == (280, 280, 3)  # 31 x 9 + 1
    assert mesh.uv.min() >= 0
    assert mesh.uv.max() <= 1
    # read bilinearly as a glTF viewer does: texel centres at (i + 0.5) / T
    at = torch.from_numpy(mesh.uv).double() * 2 - 1
    picture = torch.from_numpy(mesh.texture.astype(np.float64)).permute(2, 0, 1)[None] / 255
    read = torch.nn.functional.grid_sample(picture, at[None, None], align_corners=False)[0, :, 0].T
    expected = whole.albedo.reshape(3, -1).T.double()
    assert (read - expected).abs().max() < 0.5 / 255 + 1e-3  # half a code, and float32 texture coordinates


def test_upright_left_is_left_and_the_nose_comes_toward_the_viewer(scene: Reconstruction) -> None:
    mesh = mesh_of(scene, texture="albedo")
    rgb = mesh.texture[
        (mesh.uv[:, 1] * len(mesh.texture)).astype(int), (mesh.uv[:, 0] * len(mesh.texture)).astype(int)
    ].astype(float)
    left, right = mesh.vertices[:, 0] < -0.03, mesh.vertices[:, 0] > 0.03
    assert (rgb[left, 0] > rgb[left, 2]).mean() > 0.95  # the dome is red on the left
    assert (rgb[right, 0] < rgb[right, 2]).mean() > 0.95
    top, bottom = mesh.vertices[:, 1] > 0.05, mesh.vertices[:, 1] < -0.05
    assert rgb[top].mean() > rgb[bottom].mean() + 10  # and brighter above
    assert np.hypot(*mesh.vertices[mesh.vertices[:, 2].argmax(), :2]) < 0.1


def test_the_background_is_cut_away_and_the_outline_is_round(scene: Reconstruction) -> None:
    mesh = mesh_of(scene)
    radius = np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1])
    assert radius.max() < 0.8 / 2 * 1.02
    assert mesh.vertices[:, 2].min() > -0.05  # the backdrop at 1.06 would lie at -0.34


def test_a_jump_in_depth_is_not_bridged(scene: Reconstruction) -> None:
    depth = torch.ones_like(scene.depth)
    depth[..., scene.camera.size // 2 :] = 1.06
    stepped = _flat(scene, depth)
    both = mesh_of(stepped, largest_only=False)
    size = scene.camera.size
    assert len(both.faces) == 2 * (size - 1) * (size - 2)
    assert stretch(both.vertices[:, 2], both.uv, both.faces).max() < 1
    assert len(mesh_of(stepped).faces) == (size - 1) ** 2 - (size - 1)
    assert len(mesh_of(stepped, max_stretch=1e9).faces) == 2 * (size - 1) ** 2


def test_depth_that_is_not_finite_leaves_a_hole(scene: Reconstruction) -> None:
    depth = torch.ones_like(scene.depth)
    depth[0, 5, 5] = float("nan")
    mesh = mesh_of(_flat(scene, depth))
    assert np.isfinite(mesh.vertices).all()
    assert 0 < 2 * (scene.camera.size - 1) ** 2 - len(mesh.faces) < 40


def test_an_empty_mask_gives_the_whole_grid(scene: Reconstruction) -> None:
    nothing = dataclasses.replace(_flat(scene), canonical_mask=torch.zeros_like(scene.mask))
    assert len(mesh_of(nothing).faces) == 2 * (scene.camera.size - 1) ** 2


def test_baked_texture_is_albedo_times_shading(scene: Reconstruction) -> None:
    whole = dataclasses.replace(scene, canonical_mask=torch.ones_like(scene.mask))
    size = scene.camera.size
    baked = texture_picture(whole, "baked", min_px=size).astype(float) / 255
    inner = slice(2, -2)
    expected = (scene.albedo * scene.shading).clamp(0, 1).permute(1, 2, 0).numpy()
    assert np.abs(baked - expected)[inner, inner].max() <= 0.5 / 255 + 1e-6
