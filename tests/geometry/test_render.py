from __future__ import annotations

import pytest
import torch
from surfaces import hills
from torch import Tensor

from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.pose import mirror_view
from bozzetto.geometry.render import FAR_MARGIN, identity_view, look, render
from bozzetto.types import Camera, DepthRange, Factors, Rendering

FIELDS = ("image", "mask", "depth", "grid", "texture", "normal", "diffuse", "shading")


def smooth_factors(camera: Camera, batch: int, dtype: torch.dtype = torch.float64) -> Factors:
    generator = torch.Generator().manual_seed(0)
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, camera.size, dtype=torch.float64)] * 2, indexing="ij")
    albedo = torch.stack((0.5 + 0.4 * torch.sin(3 * u + v), 0.5 + 0.4 * torch.cos(2 * v - u), 0.5 + 0.3 * u * v))
    spread = torch.tensor([0.15, 0.3, 0.1, 0.01, 0.01, 0.01], dtype=torch.float64)
    view = torch.randn((batch, 6), generator=generator, dtype=torch.float64) * spread
    light = torch.tensor([0.4, 0.5, 0.0, 0.0], dtype=torch.float64) + 0.3 * torch.randn(
        (batch, 4), generator=generator, dtype=torch.float64
    )
    return Factors(
        hills(camera, batch).to(dtype), albedo.expand(batch, -1, -1, -1).to(dtype), view.to(dtype), light.to(dtype)
    )


def mirrored(factors: Factors) -> Factors:
    light = factors.light * torch.tensor([1.0, 1.0, -1.0, 1.0], dtype=factors.light.dtype)
    return Factors(factors.depth.flip(3), factors.albedo.flip(3), mirror_view(factors.view), light)


def item(factors: Factors, i: int) -> Factors:
    return Factors(*(getattr(factors, name)[i : i + 1] for name in ("depth", "albedo", "view", "light")))


def difference(one: Rendering, other: Rendering) -> float:
    return max((getattr(one, name) - getattr(other, name)).abs().max().item() for name in FIELDS)


@pytest.mark.parametrize("rasteriser", ["reference", "fast"])
def test_items_of_a_batch_are_rendered_each_by_itself(rasteriser: str) -> None:
    camera = Camera(24)
    factors = smooth_factors(camera, 3)
    together = render(factors, camera, rasteriser=rasteriser)
    for i in range(3):
        alone = render(item(factors, i), camera, rasteriser=rasteriser)
        for name in FIELDS:
            assert torch.equal(getattr(together, name)[i : i + 1], getattr(alone, name)), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_rasterisers_render_the_same(dtype: torch.dtype) -> None:
    camera = Camera(32)
    factors = smooth_factors(camera, 2, dtype)
    reference, fast = (render(factors, camera, rasteriser=name) for name in ("reference", "fast"))
    assert torch.equal(reference.mask, fast.mask)
    assert difference(reference, fast) < (1e-10 if dtype == torch.float64 else 1e-4)


def test_straight_on_the_image_is_albedo_times_shading() -> None:
    camera = Camera(32)
    factors = smooth_factors(camera, 2)
    straight = Factors(factors.depth, factors.albedo, identity_view(2, factors.depth), factors.light)
    out = render(straight, camera)
    assert out.mask.all()
    shading = straight.light[:, :1, None, None] + straight.light[:, 1:2, None, None] * out.diffuse
    assert torch.allclose(out.shading, shading)
    assert torch.equal(out.normal, normals(factors.depth, camera))
    inner = (..., slice(1, -1), slice(1, -1))  # at the rim rounding may step out of the picture
    assert (out.image - factors.albedo * shading)[inner].abs().max() < 1e-10
    assert (out.depth - factors.depth).abs().max() < 1e-12


def test_the_mirrored_object_gives_the_mirrored_picture() -> None:
    errors = []
    for size in (32, 64):
        camera = Camera(size)
        factors = smooth_factors(camera, 3)
        plain, flipped = render(factors, camera), render(mirrored(factors), camera)
        both = plain.mask * flipped.mask.flip(3)
        assert both.mean() > 0.7
        assert (plain.mask - flipped.mask.flip(3)).abs().mean() < 0.03  # the diagonals of the rim's squares
        away_from_rim = both * (plain.grid.abs().amax(-1)[:, None] < 0.95)
        errors.append(((plain.image - flipped.image.flip(3)) * away_from_rim).abs().max().item())
    assert errors[0] < 5e-3
    assert errors[0] / errors[1] > 3  # the diagonals run the other way: a difference of second order


def test_one_shape_serves_many_views() -> None:
    camera = Camera(16)
    factors = smooth_factors(camera, 3)
    shape = item(factors, 0)
    many = render(Factors(shape.depth, shape.albedo, factors.view, factors.light), camera)
    copied = Factors(shape.depth.expand(3, -1, -1, -1), shape.albedo.expand(3, -1, -1, -1), factors.view, factors.light)
    assert difference(many, render(copied, camera)) == 0


def test_what_lies_beyond_the_range_is_background() -> None:
    camera, depth_range = Camera(16), DepthRange()
    limit = depth_range.far + FAR_MARGIN
    depth = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    depth[..., 10:] = 1.5
    sight = look(depth, identity_view(1, depth), camera, depth_range)
    assert torch.equal(sight.mask[..., :10], torch.ones_like(sight.mask[..., :10]))
    assert not sight.mask[..., 10:].any()
    assert sight.depth.max() == limit
    out = render(
        Factors(depth, torch.ones(1, 3, 16, 16).double(), identity_view(1, depth), torch.ones(1, 4).double()), camera
    )
    assert not out.image[..., 10:].any()


def test_light_and_albedo_are_linear() -> None:
    camera = Camera(16)
    factors = smooth_factors(camera, 2)
    image = render(factors, camera).image
    doubled = Factors(factors.depth, factors.albedo * 2, factors.view, factors.light)
    assert torch.allclose(render(doubled, camera).image, image * 2)
    brighter = factors.light * torch.tensor([3.0, 3.0, 1.0, 1.0])
    assert torch.allclose(
        render(Factors(factors.depth, factors.albedo, factors.view, brighter), camera).image, image * 3
    )


@pytest.mark.parametrize("rasteriser", ["reference", "fast"])
def test_gradients_reach_every_factor_of_every_item(rasteriser: str) -> None:
    camera = Camera(16)
    factors = smooth_factors(camera, 2)
    leaves: list[Tensor] = [getattr(factors, n).clone().requires_grad_() for n in ("depth", "albedo", "view", "light")]
    weight = torch.rand((2, 3, 16, 16), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (render(Factors(*leaves), camera, rasteriser=rasteriser).image * weight).sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        assert (leaf.grad.flatten(1).abs().amax(1) > 0).all()


def test_the_gradient_of_a_view_is_that_of_finite_differences() -> None:
    """Through mesh, rasteriser, warp and shading at once, where the picture is smooth and fully covered."""
    camera = Camera(16)
    factors = smooth_factors(camera, 1)
    inner = (..., slice(5, 11), slice(5, 11))
    weight = torch.rand((1, 3, 6, 6), generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def value(view: Tensor) -> Tensor:
        return (render(Factors(factors.depth, factors.albedo, view, factors.light), camera).image[inner] * weight).sum()

    assert torch.autograd.gradcheck(value, factors.view.clone().requires_grad_(), eps=1e-7, atol=1e-4)
