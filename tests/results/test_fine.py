"""The texture: the photo's own detail where it is seen, the mirror side's where it is hidden, else the albedo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from synthetic_dome import dome
from torch import Tensor

from bozzetto.export.matting import resample_smooth
from bozzetto.export.paint import averaged
from bozzetto.geometry.render import render
from bozzetto.geometry.warp import resize_grid, sample
from bozzetto.inputs import as_bytes
from bozzetto.results import Reconstruction
from bozzetto.results.carried import carry, lift, photo_albedo
from bozzetto.results.fine import photo_texture
from bozzetto.types import Camera, Factors

SMALL, LARGE = 48, 192
FRONT, TURNED, FAR_TURNED = ((0.0, yaw, 0.0, 0.0, 0.0, 0.0) for yaw in (0.0, 0.3, 0.9))
AMBIENT = torch.tensor([1.0, 0.0, 0.0, 0.0])
Paint = Callable[[Tensor, Tensor], Tensor]  # x, y in [-1, 1], the square's outermost pixel centres -> [3, ...]


def stripes(x: Tensor, y: Tensor) -> Tensor:
    """Finer than the small picture can hold: 30 periods across, where it has 24."""
    return torch.stack(
        (0.5 + 0.2 * (30 * torch.pi * x).cos(), 0.5 + 0.2 * (30 * torch.pi * y).cos(), 0.5 + 0.2 * x * y)
    )


def even(x: Tensor, y: Tensor) -> Tensor:
    """The same on both sides: finest far from the middle, where a turned head hides it."""
    return stripes(x.abs(), y)


def uneven(x: Tensor, y: Tensor) -> Tensor:
    """As fine, and one side's bright stripes are the other's dark ones."""
    return 0.5 + (stripes(x.abs(), y) - 0.5) * torch.where(x < 0, 1.0, -1.0)


def at_pixels(size: int) -> tuple[Tensor, Tensor]:
    """Where the pixel centres of a cut-out square lie, of size pixels a side: its outer edges are those of any size."""
    edge = (torch.arange(size) + 0.5) / size * SMALL - 0.5  # in pixels of the small picture
    y, x = torch.meshgrid(*(2 * edge / (SMALL - 1) - 1,) * 2, indexing="ij")
    return x, y


def on_grid(paint: Paint, size: int) -> Float[Tensor, "3 s s"]:
    ticks = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return paint(x, y)


def batch(scene: Reconstruction, albedo: Tensor) -> Factors:
    return replace(scene.factors(), albedo=albedo[None])


def as_result(scene: Reconstruction, image: Tensor) -> Reconstruction:
    """The scene seen in that photo, with the photo's albedo."""
    seen = replace(scene, image=image)
    albedo = photo_albedo(image[None], scene.mask[None], seen.factors(), scene.camera, scene.depth_range)[0]
    return replace(seen, albedo=albedo)


def photographed(view: tuple[float, ...], paint: Paint) -> tuple[Reconstruction, UInt8[Tensor, "3 t t"]]:
    """A painted dome as a result of the small size, and its large photo."""
    size = 2 * (LARGE - 1) + 1
    truth = dome(size, view)
    sharp = render(batch(truth, on_grid(paint, size)), truth.camera, truth.depth_range).image
    photos = []
    for side in (SMALL, LARGE):
        reach = 2 * round(size / side / 2) + 1  # a pixel is the mean over its square
        blurred = F.avg_pool2d(sharp, reach, stride=1, padding=reach // 2)
        x, y = at_pixels(side)
        photos.append(sample(blurred, torch.stack((x, y), dim=-1).clamp(-1, 1)[None])[0].clamp(0, 1))
    return as_result(dome(SMALL, view), photos[0]), as_bytes(photos[1])


def test_a_flat_thing_from_the_front_has_the_photo_as_its_texture() -> None:
    """The closed form: in even light each texel is the photo at the texel's place, though the small one is grey."""
    scene = replace(dome(SMALL, FRONT), light=AMBIENT)
    flat = replace(scene, depth=torch.ones_like(scene.depth), mask=torch.ones_like(scene.mask))
    images = {side: stripes(*at_pixels(side)) for side in (SMALL, LARGE)}
    grey = F.interpolate(images[LARGE][None], size=(SMALL, SMALL), mode="area")[0]
    texture = photo_texture(as_bytes(images[LARGE]), as_result(flat, grey)) / 255
    inside = slice(5 * LARGE // SMALL, -5 * LARGE // SMALL)
    error = (texture - on_grid(stripes, LARGE))[:, inside, inside].abs()
    assert error.max() < 0.03  # between two pixels a stripe of six is read a little flatter
    albedo = averaged(as_result(flat, grey).albedo[None], LARGE)[0]
    assert (albedo - on_grid(stripes, LARGE))[:2, inside, inside].abs().mean() > 0.1


def test_rendered_in_the_photos_view_and_light_it_is_the_large_photo() -> None:
    result, photo = photographed(TURNED, stripes)
    camera = Camera(LARGE)
    depth = resample_smooth(result.depth[None], LARGE)
    drawn = {}
    for name, albedo in (
        ("fine", photo_texture(photo, result)[None] / 255),
        ("plain", resize_grid(result.albedo[None], LARGE)),
    ):
        factors = Factors(depth, albedo, result.view[None], result.light[None])
        drawn[name] = render(factors, camera, result.depth_range).image[0]
    x = (torch.linspace(-1, 1, LARGE) * (SMALL - 1) / SMALL) * LARGE / (LARGE - 1)
    there = torch.stack(torch.meshgrid(x, x, indexing="xy"), dim=-1)[None]
    wanted = sample(photo[None] / 255, there)[0]
    facing = resize_grid((result.normal_posed[2:] < -0.6)[None].float() * (result.mask > 0.99), LARGE)[0, 0] > 0.99
    facing &= resize_grid(-F.max_pool2d(-result.mask[None], 11, 1, 5), LARGE)[0, 0] > 0.99
    assert facing.sum() > 3000
    errors = {name: (picture - wanted)[:, facing].abs().mean() for name, picture in drawn.items()}
    assert errors["fine"] < 0.02
    assert errors["fine"] < errors["plain"] / 4


def test_made_small_again_it_is_the_albedo() -> None:
    def soft(x: Tensor, y: Tensor) -> Tensor:
        return torch.stack((0.5 + 0.2 * (5 * x).sin(), 0.5 + 0.2 * (7 * y).cos(), 0.5 + 0.2 * x * y))

    result, photo = photographed(TURNED, soft)
    small = averaged(photo_texture(photo, result)[None] / 255, SMALL)[0]
    trust = lift(result.image[None], result.mask[None], result.factors(), result.camera, result.depth_range).trust
    sure = trust[0, 0] > 0.9
    assert sure.sum() > 300
    assert (small - result.albedo)[:, sure].abs().mean() < 0.01
    assert (small - result.albedo)[:, sure].abs().max() < 0.1


def detail_agrees(paint: Paint) -> tuple[float, float]:
    """Correlation of what is finer than the small picture with the truth's, on the hidden side and on the seen one."""
    result, photo = photographed(FAR_TURNED, paint)
    texture, truth = (photo_texture(photo, result) / 255)[None], on_grid(paint, LARGE)[None]
    blurred = [F.avg_pool2d(one, 9, stride=1, padding=4) for one in (texture, truth)]
    found, wanted = texture - blurred[0], truth - blurred[1]
    small = result.factors()
    _, unsure = carry(small.depth, result.depth_posed[None], small.view, result.camera)
    trust = lift(result.image[None], result.mask[None], small, result.camera, result.depth_range).trust
    sure = -F.max_pool2d(-trust, 3, stride=1, padding=1) > 0.6
    zones = (unsure & sure.flip(3), sure)
    scores = []
    for zone in zones:
        fine_zone = resize_grid(zone.float(), LARGE)[0, 0] > 0.99
        assert fine_zone.sum() > 300
        a, b = found[0, 0][fine_zone], wanted[0, 0][fine_zone]
        scores.append(float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()))
    return scores[0], scores[1]


def test_detail_of_the_hidden_side_is_the_mirror_sides() -> None:
    hidden, seen = detail_agrees(even)
    assert seen > 0.9
    assert hidden > 0.7
    opposite, seen = detail_agrees(uneven)
    assert seen > 0.9
    assert opposite < -0.7  # it cannot know, and shows one side's detail whole rather than both at once


def test_the_backdrop_s_detail_reaches_nothing() -> None:
    """Whatever stands beside the object in the large photo, no bit of the texture is another."""
    result, photo = photographed(TURNED, stripes)
    outside = F.interpolate((result.mask[None] < 0.01).float(), size=(LARGE, LARGE))[0] > 0
    other = torch.where(outside, 255 - photo, photo)
    assert (other != photo).float().mean() > 0.2
    assert torch.equal(photo_texture(other, result), photo_texture(photo, result))


def test_beside_the_object_it_is_the_albedo() -> None:
    """The dome is a disc of 0.8 of the half picture; beyond it and a pixel or two no photo has a say."""
    scene = dome(SMALL, FRONT)
    noise = torch.rand(3, LARGE, LARGE, generator=torch.Generator().manual_seed(0))
    found = photo_texture(as_bytes(noise), scene)
    enlarged = as_bytes(resize_grid(scene.albedo[None], LARGE)[0].clamp(0, 1))
    x, y = on_grid(lambda x, y: torch.stack((x, y)), LARGE)
    radius = (x.square() + y.square()).sqrt()
    assert torch.equal(found[:, radius > 0.85], enlarged[:, radius > 0.85])
    assert (found.float() - enlarged)[:, radius < 0.5].abs().mean() > 30


@pytest.mark.parametrize(
    "texture",
    [
        torch.zeros(3, SMALL, SMALL, dtype=torch.uint8),
        torch.zeros(3, LARGE, LARGE),
        torch.zeros(1, LARGE, LARGE, dtype=torch.uint8),
        torch.zeros(3, LARGE, SMALL, dtype=torch.uint8),
    ],
)
def test_a_record_refuses_what_is_no_texture(texture: Tensor) -> None:
    with pytest.raises((ValueError, TypeError)):
        replace(dome(SMALL), texture=texture)
