"""The fast networks against the readable ones: values, gradients, second gradients; gradcheck of both in float64."""

from __future__ import annotations

import pytest
import torch
from tiny_gan import ARCHS, tiny_networks, tiny_spec
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck

from bozzetto.gan.frozen import FrozenDiscriminator, FrozenSynthesis
from bozzetto.gan.spec import StyleGan2Spec


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().norm() / b.detach().norm())


@pytest.mark.parametrize("noise", ["const", "own", "none"])
@pytest.mark.parametrize("arch", ARCHS)
def test_synthesis_parity_to_second_order(rng: torch.Generator, arch: str, noise: str) -> None:
    g, _ = tiny_networks(tiny_spec(32, generator=arch))
    fast = FrozenSynthesis(g.synthesis)
    w = torch.randn(3, g.spec.num_ws, 8, generator=rng, requires_grad=True)
    noises = None if noise == "none" else g.synthesis.noises()
    if noise == "own":
        noises = [torch.randn(3, *n.shape[1:], generator=rng) for n in g.synthesis.noises()]
    images = [net(w, noises) for net in (g.synthesis, fast)]
    assert relative(images[1], images[0]) < 1e-5
    weights = torch.randn(images[0].shape, generator=rng)
    firsts = [grad((image * weights).sum(), w, create_graph=True)[0] for image in images]
    assert relative(firsts[1], firsts[0]) < 1e-5
    seconds = [grad(first.square().sum(), w)[0] for first in firsts]
    assert relative(seconds[1], seconds[0]) < 1e-4


@pytest.mark.parametrize("arch", ARCHS)
def test_feature_parity_to_second_order(rng: torch.Generator, arch: str) -> None:
    _, d = tiny_networks(tiny_spec(32, discriminator=arch))
    fast = FrozenDiscriminator(d)
    image = torch.randn(3, 3, 32, 32, generator=rng, requires_grad=True)
    for count in (0, 1, 3):
        taps = [net.features(image, count) for net in (d, fast)]
        assert len(taps[0]) == len(taps[1]) == count + 1
        assert all(relative(b, a) < 1e-5 for a, b in zip(*taps, strict=True))
    firsts = [grad(t[-1].square().sum(), image, create_graph=True)[0] for t in taps]
    assert relative(firsts[1], firsts[0]) < 1e-5
    seconds = [grad(first.square().sum(), image)[0] for first in firsts]
    assert relative(seconds[1], seconds[0]) < 1e-4


def test_bf16_stays_close(rng: torch.Generator) -> None:
    g, d = tiny_networks(tiny_spec(32))
    w = torch.randn(4, g.spec.num_ws, 8, generator=rng, requires_grad=True)
    images = [FrozenSynthesis(g.synthesis, p)(w, g.synthesis.noises()) for p in ("fp32", "bf16")]
    assert images[1].dtype == torch.float32
    assert relative(images[1], images[0]) < 0.02
    weights = torch.randn(images[0].shape, generator=rng)
    gradients = [grad((image * weights).sum(), w)[0] for image in images]
    assert relative(gradients[1], gradients[0]) < 0.1
    taps = [FrozenDiscriminator(d, p).features(images[0], 3) for p in ("fp32", "bf16")]
    assert all(b.dtype == torch.float32 and relative(b, a) < 0.02 for a, b in zip(*taps, strict=True))


def check_gradients(spec: StyleGan2Spec, fast: bool, rng: torch.Generator) -> None:
    """First and second gradients of a tiny synthesis by finite differences."""
    g, _ = tiny_networks(spec)
    noises = [n.double() for n in g.synthesis.noises()]
    net = (FrozenSynthesis(g.synthesis) if fast else g.synthesis).double()
    w = torch.randn(2, g.spec.num_ws, spec.w_dim, generator=rng, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda w: net(w, noises), (w,), fast_mode=True)
    assert gradgradcheck(lambda w: net(w, noises), (w,), fast_mode=True)


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_of_the_synthesis(rng: torch.Generator, fast: bool) -> None:
    check_gradients(tiny_spec(8), fast, rng)


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_of_the_features(rng: torch.Generator, fast: bool) -> None:
    _, d = tiny_networks(tiny_spec(8))
    net = (FrozenDiscriminator(d) if fast else d).double()
    image = torch.randn(2, 3, 8, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda image: net.features(image, 1)[1], (image,), fast_mode=True)
    assert gradgradcheck(lambda image: net.features(image, 1)[1], (image,), fast_mode=True)


def test_the_reference_gives_gradients_to_every_parameter_it_uses(rng: torch.Generator) -> None:
    g, d = tiny_networks(tiny_spec(16))
    z = torch.randn(4, 6, generator=rng)
    d(g(z, g.synthesis.noises())).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in [*g.parameters(), *d.parameters()])
