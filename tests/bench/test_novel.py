from __future__ import annotations

import math

import pytest
import torch

from bozzetto.bench.novel import angles_of, draw, scale_between, seen_truth, view_like
from bozzetto.bench.scenes import sphere
from bozzetto.geometry.pose import move, rotation_matrix
from bozzetto.types import Camera


def views(count: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 6, generator=rng, dtype=torch.float64) - 0.5) * torch.tensor(
        [1.5, 1.5, 1.5, 0.1, 0.1, 0.1]
    )


def test_angles_are_read_back_from_a_rotation() -> None:
    angles = views(20, 0)[:, :3]
    torch.testing.assert_close(angles_of(rotation_matrix(angles)), angles)


@pytest.mark.parametrize("scale", [1.0, 0.9, 1.3])
def test_points_that_agree_in_the_photo_agree_in_every_other_picture_up_to_the_scale(scale: float) -> None:
    """Whatever frame and scale the prediction has: if the photo shows s p for every true p, new views show s p too."""
    rng = torch.Generator().manual_seed(1)
    true = torch.rand(1, 50, 3, generator=rng, dtype=torch.float64) * 0.1 + torch.tensor([0.0, 0.0, 0.95])
    new, photo, mine = views(3, 2), views(1, 3), views(1, 4)
    pivot = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    wanted = scale * move(true, photo)
    predicted = (wanted - mine[:, None, 3:] - pivot) @ rotation_matrix(mine[:, :3]) + pivot
    torch.testing.assert_close(move(predicted, mine), wanted)
    found = view_like(new, photo, mine, torch.tensor([scale], dtype=torch.float64))
    torch.testing.assert_close(move(predicted, found), scale * move(true, new))


def test_a_prediction_in_the_truths_own_frame_is_seen_as_the_truth_is() -> None:
    new, photo = views(4, 5), views(1, 6)
    torch.testing.assert_close(view_like(new, photo, photo, torch.ones(1, dtype=torch.float64)), new)


def test_the_scale_is_the_factor_between_two_depth_maps() -> None:
    depth = 0.9 + 0.2 * torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(depth)
    mask[..., :2] = 0
    holes = torch.where(mask > 0, depth, torch.nan)
    torch.testing.assert_close(scale_between(1.2 * depth, holes, mask), torch.tensor([1.2]))


def test_from_the_front_all_of_the_truth_is_seen_and_pictures_stay_as_they_are() -> None:
    camera = Camera(32)
    scene = sphere(camera, torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([0.06]))
    holes = torch.where(scene.mask, scene.depth, torch.nan)
    assert torch.equal(seen_truth(holes, torch.zeros(1, 6), camera), scene.mask.float())
    texture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    drawn, covered = draw(scene.depth, texture, torch.zeros(1, 6), camera)
    torch.testing.assert_close(drawn, texture, atol=2e-4, rtol=0)
    assert covered.min() == 1


def test_a_sphere_turned_about_its_middle_keeps_its_outline_on_the_near_side_and_loses_its_back() -> None:
    """ry > 0 moves the near side to the left, so the right of the outline is what the front did not hold."""
    camera = Camera(64)
    scene = sphere(camera, torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([0.06]))
    view = torch.zeros(1, 6)
    view[0, 1] = math.radians(40)
    seen = seen_truth(torch.where(scene.mask, scene.depth, torch.nan), view, camera)[0, 0]
    assert (seen <= scene.mask[0, 0]).all()
    left, right = seen[:, :32].sum() / scene.mask[..., :32].sum(), seen[:, 32:].sum() / scene.mask[..., 32:].sum()
    assert left > 0.9
    assert 0.45 < right < math.cos(math.radians(40))  # the half of a disc seen aslant, less the steep rim
