"""The way to the mirror image: its pictures, and the views and lights found of them against known ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from turntable import CAMERA, DEPTH, MASK, MIRROR_LIGHT, SIZE, Turntable, albedo, pictures

from bozzetto.config import TurnConfig
from bozzetto.gan import Gan
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.pose import mirror_view
from bozzetto.geometry.render import render
from bozzetto.method.turn import ODD, Path, blur, estimate_light, local_contrast, make_path, track, turn
from bozzetto.types import DepthRange, Factors

RANGE = DepthRange()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("sigma_px", [0.4, 1.5, 4.0])
def test_a_blur_keeps_constants_and_mass_and_spreads_a_point_by_its_sigma(sigma_px: float) -> None:
    assert torch.allclose(blur(torch.full((2, 3, 16, 16), 0.7), sigma_px), torch.tensor(0.7), atol=1e-6)
    picture = torch.zeros(2, 3, 41, 41)
    picture[:, :, 14:27, 14:27] = noise(2, 3, 13, 13)  # farther from every border than the kernel reaches
    blurred = blur(picture, sigma_px)
    assert torch.allclose(blurred.sum((2, 3)), picture.sum((2, 3)), rtol=1e-5)
    assert torch.allclose(blurred[1:, 2:], blur(picture[1:, 2:], sigma_px), atol=1e-6)
    assert torch.allclose(blurred.flip(3), blur(picture.flip(3), sigma_px), atol=1e-6)
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    squares = (torch.arange(41.0) - 20) ** 2
    for axis in (2, 3):
        variance = float((blur(point, sigma_px).sum((0, 1, 5 - axis)) * squares).sum())
        # Cut at three sigma; below half a pixel the ticks sample the bell too coarsely.
        assert variance == pytest.approx(sigma_px**2, rel=0.1) or sigma_px < 0.5


def test_local_contrast_is_blind_to_brightness_and_nearly_to_contrast() -> None:
    picture = noise(2, 3, 32, 32)
    seen = local_contrast(picture)
    assert seen.abs().mean() > 0.3
    assert torch.allclose(local_contrast(picture + 0.4), seen, atol=1e-4)
    for factor in (0.5, 2.0):
        assert torch.allclose(local_contrast(picture * factor), seen, rtol=0.08, atol=1e-4)
    # Without the floor, that is for strong contrasts, not nearly but wholly.
    assert torch.allclose(local_contrast(picture * 1e3), local_contrast(picture * 1e4), rtol=1e-3, atol=1e-3)
    assert not local_contrast(torch.full((1, 3, 32, 32), 0.3)).abs().max() > 1e-4


def random_path(gan: Gan, steps: int = 3) -> tuple[Path, Path, Tensor]:
    """A path of two photos, that of the mirrored photos with the latents swapped, and the photos."""
    photo, mask = noise(2, 3, 16, 16), noise(2, 1, 16, 16, seed=1)
    samples = gan.w_samples(4, seed=1)[:, None].expand(-1, gan.info.num_ws, -1)
    latent, mirror_latent = samples[:2], samples[2:]
    path = make_path(photo, mask, latent, mirror_latent, gan, steps)
    swapped = make_path(photo.flip(3), mask.flip(3), mirror_latent, latent, gan, steps)
    return path, swapped, photo


def test_the_path_starts_symmetric_and_ends_at_the_photo(random_gan: Gan) -> None:
    path, swapped, photo = random_path(random_gan)
    assert torch.equal(path.halfway, path.halfway.flip(3))
    assert torch.equal(path.images[-1, 0], photo)
    assert path.share.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert torch.equal(path.masks[-1], swapped.masks[-1].flip(3))
    # The mask goes from the mean of both sides to the photo's: at share s as far from the mean as s says.
    mean = (path.masks[-1] + path.masks[-1].flip(3)) / 2
    for share, mask in zip(path.share, path.masks, strict=True):
        assert torch.allclose(mask - mean, share * (path.masks[-1] - mean), atol=1e-6)
    assert path.images.min() >= 0
    assert path.images.max() <= 1


def test_swapped_latents_give_the_mirrored_path(random_gan: Gan) -> None:
    path, swapped, _ = random_path(random_gan)
    assert torch.allclose(swapped.halfway, path.halfway, atol=1e-5)
    assert torch.allclose(swapped.images[:, 1].flip(-1)[:-1], path.images[:-1, 0], atol=1e-5)
    assert torch.allclose(swapped.images[:-1, 0], path.images[:-1, 1].flip(-1), atol=1e-5)


def test_the_path_is_straight_in_latent_space_and_items_are_alone(random_gan: Gan) -> None:
    path, _, _ = random_path(random_gan)
    samples = random_gan.w_samples(4, seed=1)[:, None].expand(-1, random_gan.info.num_ws, -1)
    for i in range(2):
        w, mirror_w = samples[i : i + 1], samples[i + 2 : i + 3]
        third = (2 * w + mirror_w) / 3  # share 1/3: from the middle a third of the way to the photo
        picture = (random_gan.image_from_w(third) / 2 + 0.5).clamp(0, 1)
        assert torch.allclose(path.images[0, 0, i], picture[0], atol=1e-5)
        mirrored = (random_gan.image_from_w(mirror_w) / 2 + 0.5).clamp(0, 1)
        assert torch.allclose(path.images[-1, 1, i], mirrored[0].flip(-1), atol=1e-5)


# ---------------------------------------------------------------- view


def views_at(pose: tuple[float, ...], share: Tensor) -> Tensor:
    """The view at each share: what the mirror swaps grows with it, the rest with its square."""
    odd = torch.tensor(ODD)
    return torch.tensor(pose) * (odd * share[:, None] + (1 - odd) * share[:, None] ** 2)


def dome_path(pose: tuple[float, ...], seed: int = 0, light_side: float = 0.6, steps: int = 4) -> Path:
    """A path as a perfect generator would make it: lit from this side and, mirrored back, from the other."""
    share = torch.arange(1, steps + 1) / steps
    views, light = views_at(pose, share), torch.tensor((0.4, 0.6, light_side, 0.2)).expand(steps, -1)
    images = torch.stack((pictures(views, light, seed), pictures(views, light * MIRROR_LIGHT, seed)), 1)
    halfway = pictures(torch.zeros(1, 6), torch.tensor([[0.4, 0.6, 0.0, 0.2]]), seed)
    return Path(share, images[:, :, None], MASK.expand(steps, 1, -1, -1, -1), (halfway + halfway.flip(3)) / 2)


def mirrored(path: Path) -> Path:
    """The path of the mirrored photo."""
    return replace(path, images=path.images.flip(-1), masks=path.masks.flip(-1))


POSES = {
    "yaw to the left": (0.0, 0.3, 0.0, 0.0, 0.0, 0.0),
    "yaw to the right and roll": (0.0, -0.3, 0.1, 0.0, 0.0, 0.0),
    "all at once": (0.1, 0.2, -0.1, 0.004, 0.003, 0.0),
    "none": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("name", POSES)
def test_the_turn_of_a_known_dome_is_found_and_of_its_mirror_image_the_opposite(name: str) -> None:
    pose, path = POSES[name], dome_path(POSES[name])
    found, opposite = (track(p, DEPTH, CAMERA, RANGE, iterations=12)[0] for p in (path, mirrored(path)))
    rotation_rad, shift = (found - torch.tensor(pose)).abs().split(3)
    assert rotation_rad.max() < 0.025
    assert shift.max() < 0.0012  # a fifth of a pixel
    away = (opposite - mirror_view(found[None])[0]).abs()
    assert away[:3].max() < 0.02
    assert away[3:].max() < 0.001


def test_each_photo_is_tracked_by_itself() -> None:
    one, two = dome_path(POSES["yaw to the left"]), dome_path(POSES["all at once"], seed=1, light_side=-0.5)
    both = Path(
        one.share,
        torch.cat((one.images, two.images), 2),
        torch.cat((one.masks, two.masks), 1),
        torch.cat((one.halfway, two.halfway)),
    )
    other = DEPTH + 0.01
    together = track(both, torch.cat((DEPTH, other)), CAMERA, RANGE, iterations=4)
    alone = torch.cat([track(path, d, CAMERA, RANGE, iterations=4) for path, d in ((one, DEPTH), (two, other))])
    assert torch.allclose(together, alone, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.05


# ---------------------------------------------------------------- light


@pytest.mark.parametrize(("dx", "dy"), [(0.6, 0.3), (-0.3, -0.5)])
def test_a_known_light_is_found(dx: float, dy: float) -> None:
    view = torch.tensor([[0.05, 0.2, 0.0, 0.0, 0.0, 0.0], [0.0, -0.15, 0.05, 0.0, 0.0, 0.0]])
    light = torch.tensor([[0.4, 0.6, dx, dy], [0.5, 0.4, -dx, dy]])
    image, normal = pictures(view, light), normals(DEPTH, CAMERA).expand(2, -1, -1, -1)
    given = (albedo().expand(2, -1, -1, -1), MASK.expand(2, -1, -1, -1), normal, view, DEPTH.expand(2, -1, -1, -1))
    found = estimate_light(image, *given, CAMERA, RANGE)
    assert (found - light).abs().max() < 0.15
    for i in range(2):  # one by one they come to the same
        alone = estimate_light(image[i : i + 1], *(t[i : i + 1] for t in given), CAMERA, RANGE)
        assert torch.allclose(alone[0], found[i], atol=1e-4)


# ---------------------------------------------------------------- all of it


def test_turned_pictures_come_back_when_they_are_rendered_from_the_halfway_one() -> None:
    """A generator whose latents are views and lights: what is found of its pictures must make them again."""
    pose = (0.0, 0.3, -0.08, 0.0, 0.0, 0.0)
    w = torch.tensor([[[*pose, 0.4, 0.6, 0.5, 0.2]]])
    mirror_w = torch.cat((mirror_view(w[:, 0, :6]), w[:, 0, 6:] * MIRROR_LIGHT), 1)[None]
    photo = pictures(w[:, 0, :6], w[:, 0, 6:])
    config = TurnConfig(use=True, steps=4, iterations=12)
    turned = turn(photo, MASK, w, mirror_w, DEPTH, Turntable(), CAMERA, RANGE, config)
    k = config.steps
    assert turned.images.shape == (2 * k + 1, 1, 3, SIZE, SIZE)
    assert torch.equal(turned.images[k - 1], photo)
    assert torch.equal(turned.view[k : 2 * k, 0], mirror_view(turned.view[:k, 0]))
    assert not turned.view[-1].any()
    share = torch.arange(1, k + 1) / k
    expected = views_at(pose, share)
    assert (turned.view[:k, 0] - expected).abs().max() < 0.025
    # Strength and direction can stand in for each other: what a light does to the side is sure, their product.
    side = turned.light[:, 0, 1] * turned.light[:, 0, 2]
    assert torch.allclose(side[k : 2 * k], -side[:k], atol=0.05)
    assert side[-1].abs() < 0.02
    assert (side[:k] - 0.6 * 0.5 * share).abs().max() < 0.1
    assert (side[1:k] > side[: k - 1]).all()
    halfway = turned.images[-1]
    even = (halfway / 0.8).clamp(0, 1)

    def error(view: Tensor, light: Tensor) -> Tensor:
        seen = render(Factors(DEPTH, even, view, light), CAMERA)
        weight = seen.mask * MASK
        return ((seen.image - turned.images[:, 0]).abs() * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)) / 3

    view, light = turned.view[:, 0], turned.light[:, 0]
    again = error(view, light)
    assert again.max() < 0.03
    for other in (error(torch.zeros_like(view), light), error(mirror_view(view), light)):
        assert (other[k - 1] > 2 * again[k - 1]).all()
    assert error(view, light * MIRROR_LIGHT)[k - 1] > 2 * again[k - 1]


def test_turned_pictures_of_two_photos_are_those_of_each(random_gan: Gan) -> None:
    photo, mask = noise(2, 3, 16, 16), noise(2, 1, 16, 16, seed=1)
    samples = random_gan.w_samples(4, seed=1)[:, None].expand(-1, random_gan.info.num_ws, -1)
    prior = torch.nn.functional.interpolate(DEPTH, size=(16, 16), mode="bilinear", align_corners=True)
    given = (photo, mask, samples[:2], samples[2:], torch.cat((prior, prior + 0.01)))
    rest = (random_gan, replace(CAMERA, size=16), RANGE, TurnConfig(use=True, steps=2, iterations=3))
    both = turn(*given, *rest)
    for i in range(2):
        alone = turn(*(t[i : i + 1] for t in given), *rest)
        for name in ("images", "view", "light"):
            assert torch.allclose(getattr(both, name)[:, i], getattr(alone, name)[:, 0], atol=0.01), name
