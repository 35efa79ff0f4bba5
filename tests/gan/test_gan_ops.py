"""The arithmetic against its closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bozzetto.gan import ops


@pytest.mark.parametrize("up", [False, True])
def test_modulated_conv_is_a_plain_convolution_with_each_items_own_weight(rng: torch.Generator, up: bool) -> None:
    x = torch.randn(3, 4, 5, 5, generator=rng)
    weight = torch.randn(6, 4, 3, 3, generator=rng)
    style = torch.randn(3, 4, generator=rng)
    out = ops.modulated_conv(x, weight, style, up=up)
    for i in range(3):
        own = weight * style[i][None, :, None, None]
        own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:  # zeros between the pixels, the kernel turned round, then the filter
            sparse = torch.zeros(1, 4, 10, 10)
            sparse[:, :, ::2, ::2] = x[i]
            full = F.conv2d(F.pad(sparse, (2, 1, 2, 1)), own.flip(2, 3))[:, :, :11, :11]
            expected = ops.blur(full, (1, 1), gain=4.0)
        else:
            expected = F.conv2d(x[i : i + 1], own, padding=1)
        torch.testing.assert_close(out[i : i + 1], expected, atol=1e-5, rtol=1e-5)


def test_demodulation_gives_unit_variance_whatever_the_style(rng: torch.Generator) -> None:
    x = torch.randn(4, 64, 32, 32, generator=rng)
    weight = torch.randn(8, 64, 3, 3, generator=rng)
    style = 10 * torch.rand(4, 64, generator=rng)
    out = ops.modulated_conv(x, weight, style)[:, :, 2:-2, 2:-2]
    assert out.var().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("resample", [ops.upsample2, ops.downsample2])
def test_resampling_keeps_a_linear_ramp_and_its_place(resample: Callable[[Tensor], Tensor]) -> None:
    ramp = torch.arange(16.0).expand(1, 2, 16, 16)
    out = resample(ramp)
    factor = out.shape[-1] / 16
    expected = (torch.arange(out.shape[-1]) + 0.5) / factor - 0.5  # pixel centres of the other grid
    torch.testing.assert_close(out[0, 1, 4, 2:-2], expected[2:-2])


def test_up_then_down_commutes_with_flipping(rng: torch.Generator) -> None:
    x = torch.randn(2, 3, 8, 8, generator=rng)
    for resample in (ops.upsample2, ops.downsample2):
        torch.testing.assert_close(resample(x.flip(3)), resample(x).flip(3))


def test_pixel_norm_has_unit_mean_square_and_keeps_zero(rng: torch.Generator) -> None:
    z = torch.randn(5, 32, generator=rng)
    torch.testing.assert_close(ops.pixel_norm(z).square().mean(dim=1), torch.ones(5))
    assert ops.pixel_norm(torch.zeros(1, 32)).abs().max() == 0


def test_leaky_relu_gain_keeps_the_second_moment_up_to_the_slope(rng: torch.Generator) -> None:
    x = torch.randn(200_000, generator=rng)
    expected = 2 * (1 + ops.LRELU_SLOPE**2) / 2
    assert ops.scaled_leaky_relu(x).square().mean().item() == pytest.approx(expected, rel=0.02)


def test_stddev_group_of_one_is_constant_and_a_full_group_is_the_deviation(rng: torch.Generator) -> None:
    x = torch.randn(4, 3, 4, 4, generator=rng)
    torch.testing.assert_close(ops.minibatch_stddev(x, 1)[:, 3], torch.full((4, 4, 4), math.sqrt(1e-8)))
    whole = ops.minibatch_stddev(x, 4)
    torch.testing.assert_close(whole[:, 3], x.std(dim=0, correction=0).mean().expand(4, 4, 4), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(whole[:, :3], x)


@pytest.mark.parametrize(("batch", "size"), [(1, 1), (2, 2), (3, 3), (5, 1), (6, 3), (7, 1), (8, 4)])
def test_stddev_takes_any_batch_size(rng: torch.Generator, batch: int, size: int) -> None:
    x = torch.randn(batch, 2, 4, 4, generator=rng)
    extra = ops.minibatch_stddev(x, 4)[:, 2, 0, 0]
    members = x.view(size, batch // size, 2, 4, 4)
    expected = (members.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3)).repeat(size)
    torch.testing.assert_close(extra, expected)
