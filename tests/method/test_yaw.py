"""The direction in which a generator turns its objects, found without labels, and the pictures along it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from turntable import CAMERA, DEPTH, MASK, YAW, Crowd

from bozzetto.config import TurnConfig
from bozzetto.gan.odd import odd_directions
from bozzetto.gan.start import StartTable, start_table
from bozzetto.gan.whiten import Whitening, whitening
from bozzetto.geometry.pose import mirror_view
from bozzetto.method.turn import FARTHEST, TURNS, Yaw, find_yaw, turn, yaw_of_generator
from bozzetto.types import DepthRange

RANGE = DepthRange()
CONFIG = TurnConfig(use=True, steps=2, iterations=20, wide_deg=15.0, wide_steps=2, directions=2)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd()


@pytest.fixture(scope="module")
def cloud(crowd: Crowd) -> Whitening:
    return whitening(crowd)


@pytest.fixture(scope="module")
def table(crowd: Crowd, cloud: Whitening) -> StartTable:
    return start_table(crowd, cloud, torch.Generator().manual_seed(1), 400)


@pytest.fixture(scope="module")
def yaw(crowd: Crowd, table: StartTable) -> Yaw:
    return find_yaw(odd_directions(table, CONFIG.directions), DEPTH, crowd, CAMERA, RANGE, CONFIG)


def in_z(directions: Tensor, cloud: Whitening) -> Tensor:
    """Directions of whitened latents as unit directions of what the crowd is made of."""
    return torch.nn.functional.normalize(directions @ cloud.axes, dim=1)


def test_what_a_mirror_swaps_is_found_and_nothing_else(table: StartTable, cloud: Whitening) -> None:
    odd = odd_directions(table, 2)
    assert torch.allclose(odd @ odd.t(), torch.eye(2), atol=1e-5)
    share = in_z(odd, cloud).square()
    assert (share[:, :2].sum(dim=1) > 0.95).all()  # not its strength, nor what does nothing
    assert torch.equal(odd_directions(table, 1), odd[:1])
    assert (odd.gather(1, odd.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_the_light_from_the_other_side_is_no_turn(yaw: Yaw, cloud: Whitening) -> None:
    forward = in_z(yaw.direction[None], cloud)[0]
    assert forward[0] > 0.95
    assert yaw.rad == pytest.approx(YAW, rel=0.2)


def test_it_belongs_to_the_generator(crowd: Crowd, table: StartTable, cloud: Whitening) -> None:
    """By the ellipsoid of its category, whatever prior a fit has: flat ones show no turn."""
    found = yaw_of_generator("heads", table, crowd, CAMERA, RANGE, CONFIG)
    assert in_z(found.direction[None], cloud)[0, 0] > 0.9
    assert found.rad == pytest.approx(YAW, rel=0.7)  # an ellipsoid is not this dome


def test_the_direction_does_not_depend_on_the_signs_of_the_odd_ones(crowd: Crowd, table: StartTable, yaw: Yaw) -> None:
    flipped = odd_directions(table, CONFIG.directions) * torch.tensor([[-1.0], [1.0]])
    again = find_yaw(flipped, DEPTH, crowd, CAMERA, RANGE, CONFIG)
    assert torch.allclose(again.direction, yaw.direction, atol=0.05)
    assert again.rad == pytest.approx(yaw.rad, rel=0.05)


def test_pictures_beyond_the_photos_own_turn(crowd: Crowd, yaw: Yaw) -> None:
    """Of a photo that looks straight ahead, which has no turn of its own."""
    w = crowd.w_from_z(torch.zeros(1, 4))
    photo = crowd.image_from_w(w) / 2 + 0.5
    given = (photo, MASK, w, w, DEPTH, crowd, CAMERA, RANGE, CONFIG)
    own, both = turn(*given), turn(*given, yaw)
    k, n = CONFIG.steps, CONFIG.wide_steps
    assert len(own.images) == 2 * k + 1
    assert len(both.images) == CONFIG.pictures == 2 * k + 1 + 2 * n
    slow = turn(*given, Yaw(yaw.direction, 0.9 * TURNS))
    assert torch.equal(slow.images, own.images)
    for name in ("images", "view", "light"):
        assert torch.equal(getattr(both, name)[: 2 * k], getattr(own, name)[:-1]), name
        assert torch.equal(getattr(both, name)[-1], getattr(own, name)[-1]), name  # halfway is always the last
    assert own.view[:, 0, 1].abs().max() < math.radians(1)
    wide = both.view[2 * k : -1, 0]
    reached = torch.rad2deg(wide[:, 1])
    assert reached[:n].tolist() == pytest.approx([CONFIG.wide_deg / n * (i + 1) for i in range(n)], rel=0.2)
    assert torch.equal(wide[n:], mirror_view(wide[:n]))
    # They are pictures of a turned object, the crowd's own nearly to the pixel; the view that is told grows evenly
    # along the path, which the crowd's turn does not, so it is a few degrees off in between, and right at the end.
    degrees = torch.arange(0.0, 2 * CONFIG.wide_deg, 0.5)
    z = torch.zeros(len(degrees), 4)
    z[:, 0] = torch.deg2rad(degrees) / YAW
    along = crowd.image_from_w(crowd.w_from_z(z)) / 2 + 0.5
    errors = [((both.images[2 * k + i] - along).abs() * MASK).mean((1, 2, 3)) for i in range(n)]
    nearest = torch.stack([degrees[error.argmin()] for error in errors])
    assert all(error.min() < error[0] / 10 for error in errors)  # error[0]: not turned at all
    assert (nearest.diff() > 0).all()
    assert (nearest - reached[:n]).abs().max() < 5
    assert (nearest - reached[:n])[-1].abs() < 2


def test_a_generator_that_hardly_turns_is_not_pushed_out_of_its_cloud(crowd: Crowd, cloud: Whitening) -> None:
    slow = Yaw(torch.nn.functional.normalize(torch.ones(4), dim=0), 1e-6)
    path = slow.path(crowd.w_from_z(torch.zeros(1, 4)), MASK, crowd, cloud, CONFIG)
    far = cloud.to_w(cloud.from_w(torch.zeros(1, 1, 4)) + FARTHEST * slow.direction).expand(-1, 2, -1)
    torch.testing.assert_close(path.images[-1, 0], (crowd.image_from_w(far) / 2 + 0.5).clamp(0, 1))
