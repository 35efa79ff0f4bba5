from __future__ import annotations

import pytest
import torch
from tiny_problem import SIZE, disc, dome

from bozzetto.config import ProjectConfig
from bozzetto.export.paths import gan_lights, gan_views
from bozzetto.gan import Gan
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.invert_loss import InvertLoss
from bozzetto.gan.whiten import whitening
from bozzetto.geometry.render import render
from bozzetto.method.through_gan import (
    COARSE,
    KEY,
    REACH,
    SEEN,
    between,
    first_guess,
    layers_of,
    outward,
    refine,
    renderings,
    through_gan,
    walk,
)
from bozzetto.method.turn import TURNS, Yaw
from bozzetto.nets.blocks import initialise
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.types import Camera, DepthRange, Factors, ThroughGan

CAMERA, LIMITS, MASK = Camera(SIZE), DepthRange(), disc(0.8)


@pytest.fixture(scope="module")
def factors() -> Factors:
    view, light = torch.tensor([[0.05, -0.2, 0.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.5, 0.4, 0.3, 0.2]])
    albedo = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    return Factors(dome(0.08), albedo, view, light)


@pytest.fixture(scope="module")
def latent(random_gan: Gan) -> torch.Tensor:
    return random_gan.w_samples(8)[3].expand(random_gan.info.num_ws, -1).clone()


def encoder(scale: float) -> OffsetEncoder:
    net = OffsetEncoder(SIZE, 8)
    initialise(net, torch.Generator().manual_seed(4))
    for parameter in net.parameters():
        parameter.data *= scale
    return net.requires_grad_(False)


def run(
    gan: Gan, factors: Factors, latent: torch.Tensor, net: OffsetEncoder, steps: int, yaw: Yaw | None = None
) -> ThroughGan:
    views, lights = gan_views(), gan_lights(factors.light[0])
    config = ProjectConfig(tail_layers=2)
    return through_gan(factors, MASK, latent, net, gan, CAMERA, LIMITS, views, lights, config, steps, yaw=yaw)


def test_the_renderings_are_the_renderers(factors: Factors) -> None:
    images, seen = renderings(factors, MASK, factors.view, factors.light, CAMERA, LIMITS)
    expected = render(factors, CAMERA, LIMITS)
    assert torch.allclose(images * expected.mask, expected.image.clamp(0, 1), atol=1e-6)
    assert ((seen > 0) <= (expected.mask > 0)).all()
    assert torch.allclose(seen * expected.mask, seen)


def test_an_encoder_that_says_nothing_leaves_the_photos_own_picture(
    random_gan: Gan, factors: Factors, latent: torch.Tensor
) -> None:
    """E = 0: f(c_h) - c_w = 0, so that every picture is G(w)."""
    found = run(random_gan, factors, latent, encoder(0.0), 0)
    own = ((random_gan.image_from_w(latent[None]) / 2 + 0.5).clamp(0, 1) * 255)[0]
    assert found.turn.shape == (25, 3, SIZE, SIZE)
    assert found.relight.shape == (17, 3, SIZE, SIZE)
    for pictures in (found.turn, found.relight):
        assert (pictures - own).abs().max() <= 0.51
    assert torch.equal(found.turn_view, gan_views())
    assert torch.equal(found.relight_light, gan_lights(factors.light[0]))


def test_equal_runs_are_equal_and_leave_the_encoder_alone(
    random_gan: Gan, factors: Factors, latent: torch.Tensor
) -> None:
    net = encoder(1.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first, second = (run(random_gan, factors, latent, net, 2) for _ in range(2))
    assert torch.equal(first.turn, second.turn)
    assert torch.equal(first.relight, second.relight)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not torch.equal(first.turn[0], first.turn[-1])


def test_a_guess_is_never_farther_than_latents_are_apart(random_gan: Gan, latent: torch.Tensor) -> None:
    """A short offset is taken as it is, also relative to the photo's own; a long one keeps its direction."""
    cloud, config = whitening(random_gan), ProjectConfig(tail_layers=2)
    start = cloud.from_w(latent.mean(dim=0))
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
    way = [first_guess(images, latent, encoder(s), random_gan, cloud, config) - start for s in (1.0, 8.0)]
    limit = (2 * 8) ** 0.5
    assert way[1].norm(dim=1).max() <= limit * (1 + 1e-4)
    assert torch.allclose(way[1].norm(dim=1), torch.full((3,), limit), rtol=1e-4)
    own = random_gan.image_from_w(latent[None]) / 2 + 0.5
    relative = first_guess(own, latent, encoder(1.0), random_gan, cloud, ProjectConfig(tail_layers=2, relative=True))
    assert torch.allclose(relative[0], start, atol=1e-3)


def test_steps_bring_every_picture_nearer(random_gan: Gan, latent: torch.Tensor) -> None:
    cloud = whitening(random_gan)
    wanted = random_gan.image_from_w(random_gan.w_samples(16)[8:13]) / 2 + 0.5
    everywhere = torch.ones(5, 1, SIZE, SIZE)
    start = cloud.from_w(latent.mean(dim=0)).expand(5, -1)
    distance = InvertLoss(random_gan, wanted * 2 - 1, everywhere, InvertConfig(outside_weight=0.0), None)

    def far(whitened: torch.Tensor) -> torch.Tensor:
        return distance(cloud.to_w(whitened)[:, None].expand(-1, random_gan.info.num_ws, -1), None)

    moved = torch.ones(5, random_gan.info.num_ws, dtype=torch.bool)
    found = refine(start, wanted, everywhere, latent, moved, random_gan, cloud, 30)
    assert (far(found) < far(start)).all()
    one = refine(start[4:], wanted[4:], everywhere[4:], latent, moved[4:], random_gan, cloud, 30)
    assert torch.allclose(found[4:], one, atol=1e-4)  # items do not hear of each other
    assert torch.equal(refine(start, wanted, everywhere, latent, moved, random_gan, cloud, 0), start)


def test_only_the_moved_layers_leave_the_photos_latent_and_all_by_the_same_way(random_gan: Gan) -> None:
    cloud, layers = whitening(random_gan), random_gan.info.num_ws
    own, other = random_gan.w_samples(8)[:layers], random_gan.w_samples(16)[12]
    moved = torch.arange(layers)[None] < torch.tensor([[0], [2], [layers]])
    w = layers_of(cloud.from_w(other).expand(3, -1), own, moved, cloud)
    way = other - own.mean(dim=0)
    assert torch.equal(w[0], own)
    assert torch.equal(w[1, 2:], own[2:])
    assert torch.allclose(w[1, :2], own[:2] + way, atol=1e-4)
    assert torch.allclose(w[2], own + way, atol=1e-4)


def test_a_turn_is_a_matter_of_the_coarse_layers_and_a_light_of_all(
    random_gan: Gan, factors: Factors, latent: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[torch.Tensor] = []
    draw = type(random_gan).image_from_w
    monkeypatch.setattr(
        type(random_gan), "image_from_w", lambda gan, w, *a: (drawn.append(w.detach()), draw(gan, w, *a))[1]
    )
    run(random_gan, factors, latent, encoder(1.0), 0)
    w = torch.cat(drawn[-12:])  # 25 turns and 17 lights, four at a time
    turns, lights = w[:25], w[25:42]
    assert torch.equal(turns[:, COARSE:], latent[COARSE:].expand(25, -1, -1))
    assert (turns[:, :COARSE] - latent[:COARSE]).abs().amax() > 1e-3
    assert ((lights - latent).abs().amax(dim=(0, 2)) > 1e-3).all()


def test_between_two_keys_the_way_is_straight_and_even() -> None:
    keys = torch.tensor([[0.0, 1.0], [4.0, -3.0], [4.0, 5.0]])
    rows = between(keys, 2 * KEY + 1)
    assert torch.equal(rows[::KEY], keys)
    assert torch.allclose(
        rows[:: KEY // 2], torch.stack((keys[0], (keys[0] + keys[1]) / 2, keys[1], (keys[1] + keys[2]) / 2, keys[2]))
    )
    assert torch.equal(between(keys[:1], 3), keys[:1].expand(3, -1))


@pytest.mark.parametrize(("count", "middle"), [(7, 2), (5, 0), (4, 3), (1, 0)])
def test_every_place_comes_once_and_after_the_neighbour_it_sets_out_from(count: int, middle: int) -> None:
    seen: set[int] = set()
    for wave in outward(count, middle):
        for place, neighbour in wave:
            assert place == neighbour == middle if not seen else abs(place - neighbour) == 1
            assert neighbour in seen or place == middle
        assert not seen & {place for place, _ in wave}
        seen |= {place for place, _ in wave}
    assert seen == set(range(count))


def test_a_walk_goes_on_from_what_the_neighbour_found() -> None:
    """With guesses g and a refinement that adds 1, place i ends at g_i + waves so far."""
    guess = torch.arange(6.0)[:, None] ** 2
    asked: list[list[int]] = []

    def refined(first: torch.Tensor, places: list[int]) -> torch.Tensor:
        asked.append(places)
        return first + 1

    rows = [outward(4, 1), [[(a + 4, b + 4) for a, b in wave] for wave in outward(2, 0)]]
    found = walk(guess, rows, refined)
    assert asked == [[1, 4], [0, 2, 5], [3]]
    assert torch.equal(found - guess, torch.tensor([[2.0], [1], [2], [3], [1], [2]]))


def test_turns_follow_the_generators_own_direction_where_it_has_one(
    random_gan: Gan, factors: Factors, latent: torch.Tensor
) -> None:
    direction = torch.nn.functional.normalize(torch.randn(8, generator=torch.Generator().manual_seed(6)), dim=0)
    rad = 0.08
    yaw, net, cloud = Yaw(direction, rad), encoder(1.0), whitening(random_gan)
    led, brought = (run(random_gan, factors, latent, net, 1, one) for one in (yaw, None))
    assert (led.relight.int() - brought.relight.int()).abs().max() <= 2  # other batches round otherwise
    assert not torch.equal(led.turn, brought.turn)
    start = cloud.from_w(latent.mean(dim=0))
    for place, view in enumerate(gan_views()):
        far = float((view[1] - factors.view[0, 1]) * SEEN / rad)
        way = max(-REACH, min(REACH, far)) * direction
        w = latent.clone()
        w[:COARSE] += cloud.to_w(start + way) - latent.mean(dim=0)
        expected = ((random_gan.image_from_w(w[None]) / 2 + 0.5).clamp(0, 1) * 255)[0]
        assert (led.turn[place] - expected).abs().max() <= 0.6
    assert abs(gan_views()[-1, 1] - factors.view[0, 1]) * SEEN / rad > REACH  # so that the last one is held back
    # A generator that hardly turns is not asked to.
    slow = run(random_gan, factors, latent, net, 1, Yaw(direction, 0.9 * TURNS))
    assert torch.equal(slow.turn, brought.turn)
