"""The colours of the object at any size: with a texture the texture's, with none the albedo's as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from bozzetto.export.formats import export_all
from bozzetto.export.matting import binary, carry_colours, core, object_mask
from bozzetto.export.mesh import mesh_of, texture_picture
from bozzetto.export.paint import averaged, painted
from bozzetto.export.turn import relit, turned
from bozzetto.export.viewer_data import viewer_data
from bozzetto.geometry.warp import resize_grid
from bozzetto.results import Reconstruction

FINE = 300


def bytes_of(picture: Tensor) -> UInt8[Tensor, "3 t t"]:
    return (picture * 255).round().to(torch.uint8)


def enlarged(scene: Reconstruction, size: int = FINE) -> UInt8[Tensor, "3 t t"]:
    return bytes_of(resize_grid(scene.albedo[None], size)[0].clamp(0, 1))


@pytest.fixture(scope="module")
def textured(scene: Reconstruction) -> Reconstruction:
    """Fine stripes over the albedo, four texels each: the network's pixel is as wide as ten."""
    bright = (torch.arange(FINE) // 4 % 2).float()[None, None] - 0.5
    return replace(scene, texture=bytes_of((enlarged(scene) / 255 * 0.6 + 0.2 + 0.3 * bright).clamp(0, 1)))


@pytest.mark.parametrize("lit", [False, True])
def test_without_a_texture_it_is_the_albedo_carried_over_the_rim(scene: Reconstruction, lit: bool) -> None:
    inside = binary(object_mask(scene.canonical_mask[None], scene.normal[None]))
    flat = (scene.albedo * scene.shading)[None] if lit else scene.albedo[None]
    assert torch.equal(painted(scene, 100, lit), resize_grid(carry_colours(flat, inside), 100))
    assert torch.equal(painted(scene, 100, lit, background=True), resize_grid(flat, 100))


def test_a_texture_that_is_the_enlarged_albedo_changes_nothing(scene: Reconstruction) -> None:
    same = replace(scene, texture=enlarged(scene))
    assert (painted(same, FINE) - painted(scene, FINE)).abs().max() < 0.003  # a step of 8 bits
    for size in (50, 500):
        assert (painted(same, size) - painted(scene, size)).abs().mean() < 0.01


def test_well_inside_the_object_every_texel_is_the_texture_s_own(textured: Reconstruction) -> None:
    assert textured.texture is not None
    found = bytes_of(painted(textured, FINE)[0])
    inside = core(binary(object_mask(textured.canonical_mask[None], textured.normal[None])))
    sure = resize_grid(inside, FINE)[0, 0] > 0.999
    assert sure.float().mean() > 0.2
    assert (found.int() - textured.texture.int())[:, sure].abs().max() <= 1


def test_the_rim_s_texels_are_never_seen(textured: Reconstruction) -> None:
    """There the photo mixes the object with its backdrop: whatever the texture holds, the paint is the same."""
    assert textured.texture is not None
    inside = core(binary(object_mask(textured.canonical_mask[None], textured.normal[None])))
    rim = resize_grid(inside, FINE)[0, 0] == 0
    assert rim.float().mean() > 0.2
    green = torch.tensor([0, 255, 0], dtype=torch.uint8)[:, None, None]
    spoilt = replace(textured, texture=torch.where(rim, green, textured.texture))
    assert torch.equal(painted(spoilt, FINE), painted(textured, FINE))
    kept = (painted(spoilt, FINE, background=True) - green[None] / 255)[0][:, rim].abs().max()
    assert kept < 1e-5  # unless the background is asked for


def test_the_mesh_has_the_texture_texel_by_texel(textured: Reconstruction, scene: Reconstruction) -> None:
    mesh, plain = mesh_of(textured, "albedo"), mesh_of(scene, "albedo")
    assert mesh.texture.shape == (FINE, FINE, 3)
    assert (mesh.texture == bytes_of(painted(textured, FINE)[0]).permute(1, 2, 0).numpy()).all()
    for name in ("vertices", "normals", "faces"):  # the surface is the same
        assert (getattr(mesh, name) == getattr(plain, name)).all(), name
    # A vertex reads the same place of either picture.
    texel, pixel = (one.uv * one.texture.shape[0] - 0.5 for one in (mesh, plain))
    assert texel / (FINE - 1) == pytest.approx(pixel / (plain.texture.shape[0] - 1), abs=1e-5)


def test_baked_it_has_the_photo_s_light(scene: Reconstruction) -> None:
    flat = torch.zeros_like(scene.normal)
    flat[2] = -1
    plane = replace(scene, depth=torch.ones_like(scene.depth), normal=flat, light=torch.tensor([0.3, 0.5, 0.0, 0.0]))
    plane = replace(plane, shading=torch.full_like(plane.shading, 0.8), texture=enlarged(scene))
    wanted = torch.from_numpy(texture_picture(plane, "albedo", background=True)).float() * 0.8
    baked = torch.from_numpy(texture_picture(plane, "baked", background=True)).float()
    assert (baked - wanted).abs().max() <= 1


def roughness(picture: Tensor) -> float:
    """Of neighbours in a row; an edge over many pixels has less than one over few."""
    return float((picture[..., 1:] - picture[..., :-1]).square().mean())


def test_films_show_it_sharper_and_with_the_same_outline(textured: Reconstruction, scene: Reconstruction) -> None:
    view = torch.tensor([[0.0, 0.3, 0.0, 0.0, 0.0, 0.0]])
    (sharp,), (plain,) = (list(turned(one, view, FINE)) for one in (textured, scene))
    assert roughness(sharp) > 4 * roughness(plain)
    ground = [(one == one[:, :1, :1]).all(0) for one in (sharp, plain)]
    assert torch.equal(*ground)
    (sharp,), (plain,) = (list(relit(one, scene.light[None], FINE)) for one in (textured, scene))
    assert roughness(sharp) > 4 * roughness(plain)


def test_smaller_than_the_texture_stripes_become_their_mean(scene: Reconstruction) -> None:
    """Read at single texels they would come out as stripes of another width."""
    stripes = (torch.arange(FINE) % 2 * 255).to(torch.uint8).expand(3, FINE, FINE)
    grey = replace(scene, albedo=torch.full_like(scene.albedo, 0.5), texture=stripes.contiguous())
    found = painted(grey, 60)[..., 3:-3]
    assert (found - 0.5).abs().max() < 0.05


def test_averaging_keeps_constants_and_the_middle_of_planes() -> None:
    ones = torch.full((1, 2, 90, 90), 0.3)
    assert torch.allclose(averaged(ones, 31), torch.full((1, 2, 31, 31), 0.3))
    plane = torch.linspace(0, 1, 91).expand(1, 1, 91, 91)
    wanted = torch.linspace(0, 1, 31).expand(1, 1, 31, 31)
    assert torch.allclose(averaged(plane, 31)[..., 1:-1], wanted[..., 1:-1], atol=1e-5)
    assert averaged(plane, 91) is plane
    assert torch.equal(averaged(plane, 120), resize_grid(plane, 120))


def test_the_page_s_data_has_it_beside_what_it_had(textured: Reconstruction, scene: Reconstruction) -> None:
    with_it, without = viewer_data(textured), viewer_data(scene)
    assert set(with_it) - set(without) == {"fine", "fineSide"}
    assert with_it["fineSide"] == FINE
    assert {name for name in without if with_it[name] != without[name]} == {"glb"}
    large = replace(scene, texture=F.interpolate(enlarged(scene)[None], size=(600, 600))[0])
    assert viewer_data(large)["fineSide"] == 512  # what a phone turns with ease


def test_without_it_files_are_those_of_a_scene_that_never_knew_it(scene: Reconstruction, tmp_path: Path) -> None:
    """All but the pictures at the network's size differ with it, and none of them does once it is taken away."""
    textured = replace(scene, texture=enlarged(scene, 64))
    formats = ("png", "glb", "obj", "viewer", "sheet")
    found = {}
    for name, one in (("none", scene), ("with", textured), ("away", replace(textured, texture=None))):
        written = export_all(one, tmp_path / name, formats)
        found[name] = {path.name: path.read_bytes() for path in written}
    assert found["none"] == found["away"]
    assert found["none"]["viewer.html"] != found["with"]["viewer.html"]
    assert found["none"]["albedo.png"] == found["with"]["albedo.png"]
