from __future__ import annotations

import dataclasses

import torch

from bozzetto.export.matting import (
    at_size,
    binary,
    carry_colours,
    core,
    cut_out,
    extend,
    object_mask,
    push_back,
    resample_smooth,
    soft_edge,
)
from bozzetto.export.scene import factors_of
from bozzetto.geometry.warp import resize_grid
from bozzetto.results import Reconstruction
from bozzetto.types import Camera, Factors


def test_parabolas_are_resampled_exactly_away_from_the_border() -> None:
    x = torch.linspace(0, 11, 12, dtype=torch.float64)
    plane = (0.3 * x**2 - x)[:, None] + (0.1 * x**2 + 2 * x)[None, :]
    fine_x = torch.linspace(0, 11, 45, dtype=torch.float64)
    expected = (0.3 * fine_x**2 - fine_x)[:, None] + (0.1 * fine_x**2 + 2 * fine_x)[None, :]
    fine = resample_smooth(plane[None, None], 45)[0, 0]
    inner = (fine_x >= 1) & (fine_x <= 10)
    error = (fine - expected)[inner][:, inner].abs().max()
    assert error < 1e-12


def test_constants_are_exact_everywhere() -> None:
    assert torch.allclose(resample_smooth(torch.full((2, 1, 7, 7), 0.97), 30), torch.tensor(0.97), atol=1e-6)


def test_twice_as_fine_keeps_the_old_pixels(scene: Reconstruction) -> None:
    factors = factors_of(scene)
    fine, camera = at_size(factors, scene.camera, 2 * scene.camera.size - 1)
    assert camera == Camera(2 * scene.camera.size - 1, scene.camera.fov_deg)
    assert torch.allclose(fine.depth[..., ::2, ::2], factors.depth, atol=1e-6)
    assert torch.allclose(fine.albedo[..., ::2, ::2], factors.albedo, atol=1e-6)
    assert at_size(factors, scene.camera, scene.camera.size)[0] is factors


def test_extend_changes_nothing_inside_and_each_item_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, 3, 12, 12, generator=generator)
    inside = (torch.rand(2, 1, 12, 12, generator=generator) > 0.9).float()
    both = extend(values, inside, 2)
    assert torch.equal(both * inside, values * inside)
    for i in range(2):
        assert torch.equal(extend(values[i : i + 1], inside[i : i + 1], 2), both[i : i + 1])


def test_extend_carries_a_constant_outward_past_anything() -> None:
    inside = torch.zeros(1, 1, 9, 9)
    inside[..., 3:6, 3:6] = 1
    values = torch.where(inside > 0, 0.5, float("nan"))
    carried = extend(values, inside, 2)
    assert torch.allclose(carried[..., 1:8, 1:8], torch.tensor(0.5))
    assert carried[..., 0, :].isnan().all()


def test_an_object_on_its_own_keeps_its_depth_and_colour_away_from_its_rim(scene: Reconstruction) -> None:
    mask = object_mask(scene.canonical_mask[None], scene.normal[None])
    cut = cut_out(factors_of(scene), mask)
    trusted = core(binary(mask))[0] > 0
    assert 0.5 < trusted.sum() / binary(mask).sum() < 1
    assert torch.equal(cut.depth[0][trusted], scene.depth[trusted])
    coloured = trusted.expand(3, -1, -1)
    assert torch.equal(cut.albedo[0][coloured], scene.albedo[coloured])


def test_what_lies_at_the_rim_and_behind_the_object_gives_no_colour_to_it(scene: Reconstruction) -> None:
    mask = object_mask(scene.canonical_mask[None], scene.normal[None])
    inside, trusted = binary(mask), core(binary(mask))
    other = torch.where(
        trusted > 0,
        factors_of(scene).albedo,
        torch.rand(3, *mask.shape[-2:], generator=torch.Generator().manual_seed(1)),
    )
    repainted = dataclasses.replace(factors_of(scene), albedo=other)
    before, after = (cut_out(factors, mask).albedo * inside for factors in (factors_of(scene), repainted))
    assert torch.equal(before, after)


def test_a_border_of_the_picture_is_no_rim_and_a_thin_thing_is_kept_whole() -> None:
    whole, thread = torch.ones(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    thread[..., 4, :] = 1
    assert torch.equal(core(torch.cat((whole, thread))), torch.cat((whole, thread)))


def test_an_ear_keeps_its_colour_and_gives_it_to_its_own_surroundings() -> None:
    """A red body with a green ear of four pixels, all on blue."""
    body, ear = torch.zeros(1, 1, 40, 40), torch.zeros(1, 1, 40, 40)
    body[..., 16:36, 8:32] = 1
    ear[..., 4:16, 18:22] = 1
    red, green, blue = torch.eye(3)[:, None, :, None, None]
    painted = carry_colours(red * body + green * ear + blue * (1 - body - ear), body + ear)
    away = 1 - torch.nn.functional.max_pool2d(body, 5, 1, 2)  # at its foot the two may mix
    assert torch.equal((painted * ear * away), (green * ear * away))
    beside = torch.nn.functional.max_pool2d(ear, 3, 1, 1) * (1 - ear) * away
    assert beside.sum() > 15
    assert torch.allclose(painted * beside, green * beside)


def test_a_number_that_is_none_stays_where_it_is_seen_by_no_one() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 10:20, 12:24] = 1
    depth = torch.where(mask > 0, 0.95, 1.09)
    whole = Factors(depth, torch.zeros(1, 3, 32, 32), torch.zeros(1, 6), torch.zeros(1, 4))
    holed = dataclasses.replace(whole, depth=depth.clone())
    for row, column in ((0, 0), (13, 4), (27, 30)):  # out of reach of what is carried, one of them by a pixel
        holed.depth[..., row, column] = float("nan")
    for size in (32, 80):
        one, other = (
            push_back(at_size(cut_out(f, mask), Camera(32), size)[0].depth, mask, 1.2) for f in (whole, holed)
        )
        assert torch.equal(one, other)


def test_beside_a_jump_in_depth_nothing_bulges_at_any_size() -> None:
    """A flat thing before a far ground stays flat, and everything away from it is far: two values, and no third."""
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 9:20, 12:25] = 1
    depth = torch.where(mask > 0, 0.95, 1.09)
    flat = Factors(depth, torch.zeros(1, 3, 32, 32), torch.zeros(1, 6), torch.zeros(1, 4))
    for size in (32, 63, 100):
        fine = at_size(cut_out(flat, mask), Camera(32), size)[0].depth
        cut = push_back(fine, mask, 1.2)
        near = cut < 1
        assert (cut[near] - 0.95).abs().max() < 1e-6
        assert (cut[~near] == 1.2).all()
        assert near[resize_grid(mask, size) > 0].all()
        assert (~near)[0, 0, 0].all()


def test_walls_at_the_edge_are_cut_and_steep_places_inside_stay() -> None:
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 4:20, 4:20] = 1
    normal = torch.zeros(1, 3, 24, 24)
    normal[:, 2] = -1
    for row, column in ((12, 12), (12, 5)):
        normal[..., row - 1 : row + 2, column - 1 : column + 2] = torch.tensor([-1.0, 0, 0]).view(3, 1, 1)
    cut = object_mask(mask, normal)
    assert cut[0, 0, 12, 12] == 1
    assert cut[0, 0, 12, 5] < 0.5


def test_a_mask_that_is_nothing_gives_the_whole_picture(scene: Reconstruction) -> None:
    empty = torch.zeros(2, 1, 8, 8)
    empty[1, :, 2:7, 2:7] = 1
    normal = torch.zeros(2, 3, 8, 8)
    normal[:, 2] = -1
    cut = object_mask(empty, normal)
    assert (cut[0] == 1).all()
    assert (cut[1] < 0.5).any()


def test_soft_edge_keeps_the_threshold_where_it_is() -> None:
    edge = soft_edge(torch.tensor([[[[0.0, 0.3, 0.5, 0.7, 1.0]]]]))
    assert torch.allclose(edge, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-6)


def test_at_size_leaves_view_and_light(scene: Reconstruction) -> None:
    fine, _ = at_size(factors_of(scene), scene.camera, 50)
    assert dataclasses.asdict(fine)["view"].equal(scene.view[None])
    assert fine.light.equal(scene.light[None])
