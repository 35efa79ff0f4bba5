"""StyleGAN3: every layer against a restatement from definitions, equivariance, derivatives, the Gan around it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_gan3 import R, tiny_generator3, tiny_spec3
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck
from upfirdn import convolution, upfirdn

from bozzetto.errors import CheckpointError
from bozzetto.gan import Gan, GanInfo
from bozzetto.gan.filters import lowpass, upsample
from bozzetto.gan.mapping import EqualLinear
from bozzetto.gan.plain import plain
from bozzetto.gan.spec3 import Schedule
from bozzetto.gan.stylegan3 import FilteredConv, FourierInput, Generator3

BOTH = pytest.mark.parametrize("settings", [{}, R], ids=["T", "R"])


def tiny_gan3(settings: dict[str, object], resolution: int = 32) -> Gan:
    spec = tiny_spec3(resolution, **settings)
    return Gan(tiny_generator3(spec), None, GanInfo("t", spec.kind, resolution, 6, 8, spec.num_ws, 2, "MIT", "", "x"))


def linear(layer: EqualLinear, x: Tensor) -> np.ndarray:
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    return weight @ x.double().numpy() / math.sqrt(weight.shape[1]) * layer.lr_multiplier + bias * layer.lr_multiplier


def features(layer: FourierInput, w: Tensor) -> np.ndarray:
    """sin 2 pi (f . p + phase) at every pixel centre p, turned and shifted point by point; then the mixing matrix."""
    cos, sin, x0, y0 = linear(layer.affine, w) / np.linalg.norm(linear(layer.affine, w)[:2])
    waves = np.zeros((len(layer.freqs), layer.size, layer.size))
    for row in range(layer.size):
        for column in range(layer.size):
            p = [(n + 0.5 - layer.size / 2) / layer.rate for n in (column, row)]
            u = layer.transform.double().numpy() @ [*p, 1.0]
            x, y = u[0] - x0, u[1] - y0
            p = np.array([cos * x - sin * y, sin * x + cos * y])
            cycles = layer.freqs.double().numpy() @ p + layer.phases.double().numpy()
            waves[:, row, column] = np.sin(2 * np.pi * cycles)
    mix = layer.weight.detach().double().numpy() / math.sqrt(len(waves))
    return np.einsum("oc,chw->ohw", mix, waves)


def filtered(layer: FilteredConv, x: np.ndarray, w: Tensor) -> np.ndarray:
    """One item's weights, a plain convolution, then upfirdn, nonlinearity, upfirdn."""
    spec, style = layer.spec, linear(layer.style, w)
    weight = layer.weight.detach().double().numpy()
    if spec.is_rgb:
        weight = weight * style[None, :, None, None] / math.sqrt(spec.in_channels)
    else:
        weight = weight / np.sqrt((weight**2).mean(axis=(1, 2, 3), keepdims=True))
        weight = weight * (style / np.sqrt((style**2).mean()))[None, :, None, None]
        weight = weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    weight = weight / math.sqrt(float(layer.magnitude_ema))
    k = spec.kernel - 1
    y = convolution(np.pad(x, [(0, 0), (k, k), (k, k)]), weight, turned=False)
    y = y + layer.bias.detach().double().numpy()[:, None, None]

    def kernel(taps: Tensor | None) -> np.ndarray:
        f = np.ones(1) if taps is None else taps.double().numpy()
        return np.outer(f, f) if f.ndim == 1 else f

    planes = []
    for plane in y:
        plane = upfirdn(plane, kernel(layer.up_filter), up=spec.up, pad=spec.pad, gain=spec.up**2)
        if not spec.is_rgb:
            plane = np.where(plane < 0, 0.2 * plane, plane) * math.sqrt(2)
        plane = np.clip(plane, -spec.clamp, spec.clamp)
        planes.append(upfirdn(plane, kernel(layer.down_filter), down=spec.down))
    return np.stack(planes)


@BOTH
def test_every_layer_is_its_definition(rng: torch.Generator, settings: dict[str, object]) -> None:
    g = tiny_generator3(tiny_spec3(32, conv_clamp=1.5, margin_size=4, **settings))
    s = g.synthesis
    w = torch.randn(2, g.spec.num_ws, 8, generator=rng)
    with torch.no_grad():
        x = s.input(w[:, 0])
        np.testing.assert_allclose(x[1].numpy(), features(s.input, w[1, 0]), atol=1e-5)
        for i, layer in enumerate(s.layers):
            y = layer(x, w[:, i + 1])
            assert y.shape[1:] == (layer.spec.out_channels, layer.spec.out_size, layer.spec.out_size)
            np.testing.assert_allclose(y[1].numpy(), filtered(layer, x[1].double().numpy(), w[1, i + 1]), atol=1e-5)
            x = y
        torch.testing.assert_close(s(w, None), x * 0.25, rtol=0, atol=0)
    assert any(layer.spec.up == 4 for layer in s.layers)
    assert {layer.down_filter.ndim for layer in s.layers[:-1]} == ({1, 2} if settings else {1})


def test_the_layers_of_the_published_configurations() -> None:
    """Names L<number>_<size>_<channels> and counts of buffers, as the authors' program prints them."""

    def names(schedule: Schedule, resolution: int) -> list[str]:
        return [f"L{i}_{x.out_size}_{x.out_channels}" for i, x in enumerate(schedule.layers(resolution))]

    r = Schedule(channel_base=65536, channel_max=1024, conv_kernel=1, use_radial_filters=True)
    wanted = (
        "36_1024 36_1024 52_1024 52_1024 84_1024 148_1024 148_1024 276_645 276_406 532_256 1044_161 1044_102 1044_64"
    )
    wanted = [f"L{i}_{name}" for i, name in enumerate([*wanted.split(), "1024_64", "1024_3"])]
    assert names(r, 1024) == wanted
    t = Schedule(channel_base=16384)
    wanted = (
        "36_512 36_512 36_512 52_512 52_512 84_512 84_512 148_362 148_256 148_181 276_128 276_91 276_64 256_64 256_3"
    )
    assert names(t, 256) == [f"L{i}_{name}" for i, name in enumerate(wanted.split())]
    layers = [FilteredConv(layer, 4) for layer in r.layers(1024)]
    counts = [sum(b.numel() for b in layer.buffers()) for layer in layers]
    assert counts[9:] == [169, 169, 157, 25, 25, 1]
    assert r.spec(1024).kind == "stylegan3-r"
    assert t.spec(256).kind == "stylegan3-t"
    assert r.spec(1024).num_ws == 16


# -- equivariance ----------------------------------------------------------------------------------------------------


def psnr(a: Tensor, b: Tensor) -> float:
    return float(20 * torch.log10(b.max() - b.min()) - 10 * torch.log10((a - b).square().mean()))


@BOTH
@pytest.mark.parametrize("shift", [(1, 0), (-3, 2), (8, 4)])
def test_shifting_the_input_shifts_the_picture(settings: dict[str, object], shift: tuple[int, int]) -> None:
    """By whole pixels of the picture, which are fractions of one in the layers before."""
    gan = tiny_gan3({"margin_size": 10} | settings)
    w = gan.w_from_z(torch.randn(2, 6, generator=torch.Generator().manual_seed(5)))
    before = gan.image_from_w(w)
    gan.generator.synthesis.input.transform[:2, 2] = torch.tensor(shift) / 32.0
    after = gan.image_from_w(w)
    moved = torch.roll(before, (-shift[1], -shift[0]), (2, 3))
    inside = (..., slice(9, -9), slice(9, -9))
    assert psnr(after[inside], moved[inside]) > 70
    assert psnr(after[inside], before[inside]) < 45  # something has moved


def test_shifting_by_half_a_pixel_is_what_a_lowpass_filter_says() -> None:
    gan = tiny_gan3({"margin_size": 10})
    w = gan.w_from_z(torch.randn(2, 6, generator=torch.Generator().manual_seed(5)))
    twice = upsample(gan.image_from_w(w), lowpass(49, 16.0, 4.0, 64.0), 2, (24, 24))
    gan.generator.synthesis.input.transform[0, 2] = 0.5 / 32
    inside = (..., slice(9, -9), slice(9, -9))
    after = gan.image_from_w(w)[inside]
    assert psnr(after, twice[:, :, 0::2, 1::2][inside]) > 60
    assert psnr(after, twice[:, :, 0::2, 0::2][inside]) < 50


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_input_turns_the_picture_of_configuration_r(turns: int) -> None:
    found = {}
    for settings in ({}, R):
        gan = tiny_gan3(settings)
        w = gan.w_from_z(torch.randn(1, 6, generator=torch.Generator().manual_seed(5)))
        before = gan.image_from_w(w)
        cos, sin = (round(f(turns * math.pi / 2)) for f in (math.cos, math.sin))
        gan.generator.synthesis.input.transform[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
        found[len(settings)] = psnr(gan.image_from_w(w), torch.rot90(before, turns, (2, 3)))
    assert found[2] > 90  # exact: the grid and every filter look the same after a quarter turn
    assert found[0] < 40


# -- the rest --------------------------------------------------------------------------------------------------------


@BOTH
def test_gradcheck_to_second_order(rng: torch.Generator, settings: dict[str, object]) -> None:
    g = tiny_generator3(tiny_spec3(8, num_layers=3, channel_max=3, margin_size=2, conv_clamp=1.0, **settings)).double()
    w = torch.randn(2, g.spec.num_ws, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda w: g.synthesis(w), (w,), fast_mode=True)
    assert gradgradcheck(lambda w: g.synthesis(w), (w,), fast_mode=True)
    parameters = [p for p in g.synthesis.parameters() if p.requires_grad]
    assert all(d.abs().max() > 0 for d in grad(g.synthesis(w).square().sum(), parameters))


@BOTH
def test_items_are_independent(rng: torch.Generator, settings: dict[str, object]) -> None:
    gan = tiny_gan3(settings)
    w = torch.randn(3, gan.info.num_ws, 8, generator=rng)
    w[2] *= 100
    together = gan.image_from_w(w)
    alone = torch.cat([gan.image_from_w(w[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@BOTH
def test_a_gan_of_it_does_what_gans_do(rng: torch.Generator, settings: dict[str, object]) -> None:
    gan = tiny_gan3(settings)
    assert gan.noise_shapes() == []
    w = gan.w_from_z(torch.randn(2, 6, generator=rng), psi=0.7)
    assert w.shape == (2, gan.info.num_ws, 8)
    image = gan.image_from_w(w)
    assert image.shape == (2, 3, 32, 32)
    assert image.std() > 0.05
    for noise in ("none", "random"):
        torch.testing.assert_close(gan.image_from_w(w, noise), image, rtol=0, atol=0)
    torch.testing.assert_close(plain(gan).image_from_w(w), image)
    rough = gan.image_from_w(w, precision="bf16")
    assert rough.dtype == torch.float32
    assert (rough - image).norm() / image.norm() < 0.05
    z = torch.randn(2, 6, generator=rng)
    torch.testing.assert_close(gan.mapping_tail(gan.mapping_head(z, 1), 1), gan.w_from_z(z)[:, 0])
    with pytest.raises(CheckpointError, match="no discriminator"):
        gan.logits(image)


def test_layers_that_do_not_fit_each_other_are_refused() -> None:
    spec = tiny_spec3()
    with pytest.raises(CheckpointError, match="do not make a StyleGAN3"):
        type(spec)(**(vars(spec) | {"layers": spec.layers[::-1]}))
    with pytest.raises(CheckpointError, match="do not make a StyleGAN3"):
        type(spec)(**(vars(spec) | {"input_bandwidth": float("nan")}))
    assert isinstance(Generator3(spec), Generator3)
