"""The fast training networks are the readable ones: values, gradients in weights, gradients of gradients."""

from __future__ import annotations

import pytest
import torch

from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.initialise import initialise
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.training import fast, losses

SPEC = StyleGan2Spec(16, {4: 12, 8: 8, 16: 6}, z_dim=10, w_dim=14, num_mapping_layers=2)


def nets() -> tuple[Generator, Discriminator]:
    generator = torch.Generator().manual_seed(11)
    g, d = Generator(SPEC), Discriminator(SPEC)
    for net in (g, d):
        initialise(net, generator)
        with torch.no_grad():
            for parameter in net.parameters():  # biases and noise strengths away from 0 as well
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        net.double()
    return g, d


def grads(value: torch.Tensor, net: torch.nn.Module) -> list[torch.Tensor]:
    found = torch.autograd.grad(value, list(net.parameters()), allow_unused=True)
    return [torch.zeros(()) if g is None else g for g in found]


def latents(batch: int = 4) -> torch.Tensor:
    return torch.randn(batch, SPEC.num_ws, SPEC.w_dim, generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize("noisy", [True, False])
def test_synthesis_is_the_reference(noisy: bool) -> None:
    g, _ = nets()
    noises = [n * 1.5 for n in g.synthesis.noises()] if noisy else None
    weight = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3)).double()
    slow, quick = g.synthesis(latents(), noises), fast.synthesise(g.synthesis, latents(), noises, torch.float64)
    # The readable blur and the RGB sum are float32 at least; here all is float64 but the sum of colours.
    torch.testing.assert_close(quick.double(), slow, rtol=1e-5, atol=1e-5)
    for a, b in zip(grads((quick * weight).sum(), g.synthesis), grads((slow * weight).sum(), g.synthesis), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_discriminator_is_the_reference() -> None:
    _, d = nets()
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(4)).double() * 2 - 1
    d.float()
    images = images.float()
    torch.testing.assert_close(fast.judge(d, images), d(images), rtol=1e-5, atol=1e-5)
    quick, slow = (grads(losses.r1_penalty(judge, images), d) for judge in (lambda x: fast.judge(d, x), d))
    for a, b in zip(quick, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=1e-4)


def test_path_lengths_reach_the_weights_alike() -> None:
    g, _ = nets()
    g.float()
    noise = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    found = []
    for draw in (fast.synthesise, lambda net, w, noises: net(w, noises)):
        w = latents().float().requires_grad_()
        lengths = losses.path_lengths(draw(g.synthesis, w, None), w, noise)
        found.append((lengths.detach(), grads(lengths.square().sum(), g.synthesis)))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=5e-3, atol=1e-3)


def test_low_precision_stays_near() -> None:
    g, d = nets()
    g.float()
    d.float()
    w = latents(8).float()
    precise = fast.synthesise(g.synthesis, w, None)
    rough = fast.synthesise(g.synthesis, w, None, torch.bfloat16)
    assert rough.dtype == torch.float32
    assert (rough - precise).abs().mean() < 0.03 * precise.std()
    assert (fast.judge(d, precise, torch.bfloat16) - fast.judge(d, precise)).abs().max() < 0.2
