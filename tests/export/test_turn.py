from __future__ import annotations

import torch
from synthetic_dome import dome, stepped

from bozzetto.export.colours import BACKGROUND
from bozzetto.export.matting import object_mask
from bozzetto.export.mesh import mesh_of
from bozzetto.export.paths import turn_row
from bozzetto.export.piece import drawn_mask
from bozzetto.export.turn import relit, turned
from bozzetto.results import Reconstruction


def _well_inside(scene: Reconstruction) -> torch.Tensor:
    """Pixels at least four from the canonical mask's edge: carrying changes two, and a normal reads one beside it."""
    mask = object_mask(scene.canonical_mask[None], scene.normal[None])
    return torch.nn.functional.max_pool2d((mask < 0.75).float(), 9, 1, 4)[0, 0] == 0


def test_the_frontal_view_is_albedo_times_shading(scene: Reconstruction) -> None:
    (frontal,) = turned(scene, torch.zeros(1, 6), scene.camera.size)
    inside = _well_inside(scene)
    assert inside.sum() > 50
    assert torch.allclose(frontal[:, inside], (scene.albedo * scene.shading).clamp(0, 1)[:, inside], atol=1e-4)


def test_the_photos_pose_and_light_give_the_reconstruction(scene: Reconstruction) -> None:
    (again,) = relit(scene, scene.light[None], scene.camera.size)
    by_turn = next(turned(scene, scene.view[None], scene.camera.size))
    inside = torch.nn.functional.max_pool2d((scene.mask < 0.99).float()[None], 9, 1, 4)[0, 0] == 0
    assert inside.sum() > 50
    assert (by_turn - scene.recon.clamp(0, 1))[:, inside].abs().max() < 1e-3
    assert (again - scene.recon.clamp(0, 1))[
        :, inside
    ].abs().mean() < 5e-3  # normals read, not shading: nearly the same


def test_what_is_not_the_object_is_background(scene: Reconstruction) -> None:
    for image in turned(scene, turn_row(3), 48):
        assert torch.allclose(image[:, 0, 0], torch.tensor(BACKGROUND))
        assert torch.allclose(image[:, -1, -1], torch.tensor(BACKGROUND))


def test_views_do_not_depend_on_each_other(scene: Reconstruction) -> None:
    views = turn_row(3)
    together = list(turned(scene, views, 40))
    assert all(torch.equal(next(turned(scene, view[None], 40)), one) for view, one in zip(views, together, strict=True))
    assert all(image.shape == (3, 40, 40) and image.min() >= 0 and image.max() <= 1 for image in together)


def test_a_mirrored_turn_of_a_symmetric_object_is_the_mirrored_picture() -> None:
    scene = dome(view=(0.0,) * 6)
    same = Reconstruction(
        **{
            **scene.tensors(),
            "albedo": (scene.albedo + scene.albedo.flip(-1)) / 2,
            "light": torch.tensor([0.5, 0.5, 0, 0.3]),
        },
        camera=scene.camera,
    )
    left, right = turned(same, turn_row(2, 20.0), 40)
    assert (left - right.flip(-1)).abs().mean() < 5e-3
    assert (left - right).abs().mean() > 0.05


def test_light_from_the_left_falls_on_the_left(scene: Reconstruction) -> None:
    lights = torch.tensor([[0.2, 0.8, 1.0, 0.0], [0.2, 0.8, -1.0, 0.0], [0.2, 0.8, 0.0, 1.0], [0.2, 0.8, 0.0, -1.0]])
    left, right, above, below = relit(scene, lights, 40, view=torch.zeros(6))
    assert (left - right)[:, 15:25, 8:14].mean() > 0.1
    assert (left - right)[:, 15:25, 26:32].mean() < -0.1
    assert (above - below)[:, 8:14, 15:25].mean() > 0.1
    assert (above - below)[:, 26:32, 15:25].mean() < -0.1


def test_what_lies_behind_a_jump_is_cut_away_as_from_the_mesh() -> None:
    scene = stepped()
    size = scene.size
    mesh = mesh_of(scene)
    texels = mesh.texture.shape[0]
    kept = torch.zeros(size, size)
    columns, rows = (torch.from_numpy(mesh.uv * texels - 0.5) / (texels - 1) * (size - 1)).round().long().T
    kept[rows, columns] = 1
    assert kept[:, : size // 2].all()
    assert not kept[:, 2 * size // 3 :].any()
    ground = torch.tensor(BACKGROUND)[:, None, None]
    for front in (next(turned(scene, torch.zeros(1, 6), size)), next(relit(scene, scene.light[None], size))):
        drawn = (front - ground).abs().amax(0) > 0.02
        assert (drawn != kept.bool())[1:-1].float().mean() < 2 / size  # the cut is a pixel wide on either side
        assert drawn[:, : size // 2].all()
    # spanned, the wall between the two would be seen from the side
    view = torch.tensor([[0, 0.35, 0, 0, 0, 0]])
    side = [next(turned(scene, view, 64, cut=cut)) for cut in (True, False)]
    shares = [float(((one - ground).abs().amax(0) > 0.02).float().mean()) for one in side]
    assert shares[0] < 0.8 * shares[1]


def test_an_object_in_one_piece_is_not_cut(scene: Reconstruction) -> None:
    plain = object_mask(scene.canonical_mask[None], scene.normal[None])
    assert torch.equal(drawn_mask(scene), plain)
    assert not torch.equal(drawn_mask(stepped()), torch.ones(1, 1, 32, 32))
