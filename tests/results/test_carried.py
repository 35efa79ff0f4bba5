"""The photo as the albedo: what is seen comes back as it was, what is hidden comes from the mirror side."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from synthetic_dome import dome
from torch import Tensor

from bozzetto.geometry.render import render
from bozzetto.results import Reconstruction
from bozzetto.results.carried import carry, fill_alike, photo_albedo
from bozzetto.types import Camera, Factors

FRONT = (0.0,) * 6
NAMES = ("depth", "albedo", "view", "light")
TURNED = (0.0, 0.3, 0.0, 0.0, 0.0, 0.0)


def batch_of(scene: Reconstruction) -> Factors:
    found = scene.factors()
    return Factors(*(getattr(found, n).reshape(1, *getattr(scene, n).shape) for n in NAMES))


def lifted(scene: Reconstruction) -> Float[Tensor, "3 s s"]:
    return photo_albedo(scene.image[None], scene.mask[None], batch_of(scene), scene.camera, scene.depth_range)[0]


def smooth(view: tuple[float, ...], even: bool = True) -> tuple[Reconstruction, Float[Tensor, "3 s s"]]:
    """A dome with a smooth albedo, the same on both sides if `even`, and its photo in that view."""
    scene = dome(48, view)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    across = (3 * x.abs()).sin() if even else (3 * x).sin()
    albedo = torch.stack((0.5 + 0.3 * across, 0.5 + 0.3 * (3 * y).sin(), 0.5 - 0.2 * across))
    factors = replace(batch_of(scene), albedo=albedo[None])
    return replace(scene, image=render(factors, scene.camera, scene.depth_range).image[0]), albedo


def test_seen_from_the_front_under_even_light_the_photo_is_the_albedo() -> None:
    scene = replace(dome(48, FRONT), light=torch.tensor([1.0, 0.0, 0.0, 0.0]))
    flat = replace(scene, depth=torch.full_like(scene.depth, 1.0), mask=torch.ones_like(scene.mask))
    photo = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(3))
    found = lifted(replace(flat, image=photo))
    inside = slice(2, -2)
    assert torch.allclose(found[:, inside, inside], photo[:, inside, inside], atol=1e-4)


def test_shading_is_taken_out() -> None:
    """Of a rendering under side light the true albedo comes back, where the surface faces the camera."""
    scene, albedo = smooth(FRONT)
    inside = (scene.mask[0] > 0.99) & (scene.normal[2] < -0.6)
    assert inside.sum() > 400
    assert (lifted(scene) - albedo).abs()[:, inside].max() < 0.02
    assert (scene.image - albedo).abs()[:, inside].max() > 0.2  # the shading is no trifle


def test_rendered_again_it_is_the_photo() -> None:
    scene, _ = smooth(TURNED, even=False)
    factors = replace(batch_of(scene), albedo=lifted(scene)[None])
    again = render(factors, scene.camera, scene.depth_range).image[0]
    inside = (scene.mask[0] > 0.99) & (scene.normal_posed[2] < -0.6)
    assert inside.sum() > 300
    assert (again - scene.image).abs()[:, inside].mean() < 0.01


def test_the_hidden_side_is_that_of_the_mirror_image() -> None:
    """Turned by 50 degrees, the nose's far flank and the far rim are hidden: the other side tells them."""
    scene, albedo = smooth((0.0, 0.9, 0.0, 0.0, 0.0, 0.0))
    found = batch_of(scene)
    _, unsure = carry(found.depth, scene.depth_posed[None], found.view, scene.camera)
    inside = dome(48, FRONT).mask[0] > 0.99
    hidden = unsure[0, 0] & ~unsure[0, 0].flip(1) & inside
    assert hidden.sum() > 40
    error = (lifted(scene) - albedo).abs()[:, hidden].mean()
    uneven, other = smooth((0.0, 0.9, 0.0, 0.0, 0.0, 0.0), even=False)
    assert error < 0.05
    assert error < (lifted(uneven) - other).abs()[:, hidden].mean() / 4  # where the sides differ, it cannot know


def test_the_backdrop_beside_one_side_is_not_taken_for_skin() -> None:
    """Depth stands out on both sides, and the photo's object is narrower on one: the other side's colour is taken."""
    scene, _ = smooth(FRONT)
    factors = batch_of(scene)
    backdrop = torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand(3, 48, 16)
    photo, mask = scene.image.clone(), scene.mask.clone()
    photo[:, :, :16], mask[..., :16] = backdrop, 0
    with_mask = photo_albedo(photo[None], mask[None], factors, scene.camera, scene.depth_range)[0]
    without = photo_albedo(photo[None], torch.ones_like(mask)[None], factors, scene.camera, scene.depth_range)[0]
    skin = -F.max_pool2d(-scene.mask, 7, stride=1, padding=3)[0, :, :16] > 0.99
    assert skin.sum() > 60
    green = [(picture[1] - picture[0])[:, :16][skin].mean() for picture in (with_mask, without)]
    assert green[0] < 0.1
    assert green[1] > 0.5


def test_an_object_of_a_few_pixels_keeps_its_colours() -> None:
    """Nothing of it lies two pixels inside; and of a mask of nothing at all the photo's colours are taken."""
    scene = replace(dome(48, FRONT), light=torch.tensor([1.0, 0.0, 0.0, 0.0]))
    flat = replace(scene, depth=torch.full_like(scene.depth, 1.0))
    photo = torch.zeros(3, 48, 48)
    photo[0, :, 22:26] = 0.8
    mask = torch.zeros_like(flat.mask)
    mask[..., 22:26] = 1
    thin = lifted(replace(flat, image=photo, mask=mask))
    assert torch.allclose(thin[0, 5:-5, 23:25], torch.full((38, 2), 0.8), atol=1e-3)
    empty = lifted(replace(flat, image=photo, mask=torch.zeros_like(mask)))
    assert torch.allclose(empty[:, 5:-5, 5:-5], photo[:, 5:-5, 5:-5], atol=1e-3)


def test_photos_of_a_batch_do_not_mix() -> None:
    scenes = [smooth(view)[0] for view in (TURNED, (0.1, -0.2, 0.05, 0.0, 0.0, 0.0))]
    both = Factors(*(torch.cat([getattr(batch_of(s), n) for s in scenes]) for n in NAMES))
    photos, masks = torch.stack([s.image for s in scenes]), torch.stack([s.mask for s in scenes])
    found = photo_albedo(photos, masks, both, Camera(48), scenes[0].depth_range)
    for one, scene in zip(found, scenes, strict=True):
        assert torch.allclose(one, lifted(scene), atol=1e-5)


def test_a_constant_fills_with_itself() -> None:
    known = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0)) < 0.1
    depth = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    colour = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 24, 24)
    filled = fill_alike(torch.where(known, colour, torch.zeros_like(colour)), known, depth)
    assert torch.allclose(filled, colour, atol=1e-5)
