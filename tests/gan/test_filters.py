"""Filter design, resampling against its definition, and derivatives of the filtered nonlinearity."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from upfirdn import upfirdn

from bozzetto.gan.filters import downsample, filtered_leaky_relu, kaiser_beta, lowpass, radial_lowpass, upsample

TAPS, CUTOFF, WIDTH, RATE = 12, 7.0, 6.0, 64.0


def response(taps: Tensor, frequency: float) -> float:
    """Amplitude of a symmetric filter at a frequency along x."""
    time = (torch.arange(taps.shape[-1], dtype=torch.float64) - (taps.shape[-1] - 1) / 2) / RATE
    along_x = taps.double() if taps.ndim == 1 else taps.double().sum(dim=0)
    return float((along_x * torch.cos(2 * math.pi * frequency * time)).sum())


@pytest.mark.parametrize("design", [lowpass, radial_lowpass])
@pytest.mark.parametrize("taps", [24, 25, 48])
def test_filters_keep_the_mean_and_lose_what_is_above_the_band(design: object, taps: int) -> None:
    f = design(taps, CUTOFF, WIDTH, RATE)
    assert float(f.sum()) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(f, f.flip(tuple(range(f.ndim))))
    attenuation = 2.285 * (taps - 1) * math.pi * 2 * WIDTH / RATE + 7.95
    stop = max(abs(response(f, frequency)) for frequency in np.arange(CUTOFF + WIDTH, RATE / 2))
    assert stop < 10 ** (-attenuation / 20)
    assert response(f, CUTOFF) == pytest.approx(0.5, abs=0.04)


def test_the_radial_filter_is_the_same_for_every_direction_of_its_grid() -> None:
    f = radial_lowpass(TAPS, CUTOFF, WIDTH, RATE)
    torch.testing.assert_close(f, f.t())
    torch.testing.assert_close(f, torch.rot90(f))
    values = torch.linalg.svdvals(f)
    assert values[1] > 1e-3 * values[0]  # no product of two filters


def test_designs_are_scipys() -> None:
    signal, special = pytest.importorskip("scipy.signal"), pytest.importorskip("scipy.special")
    settings = ((12, 2.0, 4.57, 64.0), (24, 13.0, 6.4, 256.0), (12, 512.0, 240.0, 4096.0), (7, 1.0, 9.0, 20.0))
    for taps, cutoff, width, rate in settings:
        theirs = signal.firwin(taps, cutoff, width=width, fs=rate)
        np.testing.assert_allclose(lowpass(taps, cutoff, width, rate).numpy(), theirs, atol=1e-6)
        beta = signal.kaiser_beta(signal.kaiser_atten(taps, width / (rate / 2)))
        assert kaiser_beta(taps, width, rate) == pytest.approx(beta)
    x = torch.linspace(0.1, 30, 50, dtype=torch.float64)
    np.testing.assert_allclose(torch.special.bessel_j1(x).numpy(), special.j1(x.numpy()), atol=1e-6)


@pytest.mark.parametrize("shape", [None, (5,), (6,), (5, 5)])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("pad", [(3, 4), (6, 5), (0, -2), (-1, 9)])
def test_resampling_is_its_definition(
    rng: torch.Generator, shape: tuple[int, ...] | None, factor: int, pad: tuple[int, int]
) -> None:
    x = torch.randn(2, 3, 7, 7, generator=rng, dtype=torch.float64)
    taps = None if shape is None else torch.randn(shape, generator=rng, dtype=torch.float64)  # nothing symmetric
    kernel = torch.ones(1, 1).double() if taps is None else (torch.outer(taps, taps) if taps.ndim == 1 else taps)
    up, down = upsample(x, taps, factor, pad), downsample(x, taps, factor)
    for item in range(2):
        for channel in range(3):
            plane = x[item, channel].numpy()
            wanted = upfirdn(plane, kernel.numpy(), up=factor, pad=pad, gain=factor**2)
            np.testing.assert_allclose(up[item, channel].numpy(), wanted, atol=1e-12)
            np.testing.assert_allclose(
                down[item, channel].numpy(), upfirdn(plane, kernel.numpy(), down=factor), atol=1e-12
            )


def nonlinearity(x: Tensor, radial: bool, clamp: float | None = 0.5) -> Tensor:
    up = lowpass(12, 3.0, 4.0, 32.0).to(x.dtype)
    down = (radial_lowpass if radial else lowpass)(12, 3.0, 4.0, 32.0).to(x.dtype)
    return filtered_leaky_relu(x, up, down, 2, 2, (9, 8), 0.2, math.sqrt(2), clamp)


@pytest.mark.parametrize("radial", [False, True])
def test_gradcheck_of_the_filtered_nonlinearity(rng: torch.Generator, radial: bool) -> None:
    x = torch.randn(2, 2, 5, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    x = (8 * x).detach().requires_grad_()
    assert not torch.allclose(nonlinearity(x, radial), nonlinearity(x, radial, None), atol=0.1)  # the clamp is at work
    assert gradcheck(lambda x: nonlinearity(x, radial), (x,), fast_mode=True)
    assert gradgradcheck(lambda x: nonlinearity(x, radial), (x,), fast_mode=True)


def test_the_nonlinearity_commutes_with_quarter_turns(rng: torch.Generator) -> None:
    x = torch.randn(1, 2, 8, 8, generator=rng)
    pad = (9, 8)  # even factors and filters: half a pixel of the higher rate is made up for by the zeros behind
    args = (lowpass(12, 3.0, 4.0, 32.0), radial_lowpass(12, 3.0, 4.0, 32.0), 2, 2, pad, 0.2, 1.0, None)
    turned = filtered_leaky_relu(torch.rot90(x, 1, (2, 3)), *args)
    torch.testing.assert_close(turned, torch.rot90(filtered_leaky_relu(x, *args), 1, (2, 3)))
