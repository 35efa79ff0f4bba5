"""Tiny StyleGAN2 pairs with every parameter at work (noise strengths and biases away from their zero start)."""

from __future__ import annotations

import torch

from bozzetto.gan import Gan, GanInfo
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.initialise import initialise
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator, StyledConv

ARCHS = ("skip", "resnet", "orig")


def tiny_spec(resolution: int = 16, generator: str = "skip", discriminator: str = "resnet") -> StyleGan2Spec:
    table = {4: 7, 8: 6, 16: 5, 32: 4}
    return StyleGan2Spec(
        resolution,
        {size: count for size, count in table.items() if size <= resolution},
        z_dim=6,
        w_dim=8,
        num_mapping_layers=3,
        generator_arch=generator,
        discriminator_arch=discriminator,
    )


def tiny_networks(spec: StyleGan2Spec, seed: int = 3) -> tuple[Generator, Discriminator]:
    rng = torch.Generator().manual_seed(seed)
    g, d = Generator(spec), Discriminator(spec)
    for net in (g, d):
        initialise(net, rng)
    for name, parameter in [*g.named_parameters(), *d.named_parameters()]:
        if name.endswith(("bias", "noise_strength")):
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    assert any(isinstance(m, StyledConv) and m.noise_strength != 0 for m in g.modules())
    return g, d


def tiny_gan(seed: int = 3) -> Gan:
    spec = tiny_spec()
    info = GanInfo("tiny", "stylegan2", 16, 6, 8, spec.num_ws, 3, "MIT", "", "noise")
    return Gan(*tiny_networks(spec, seed), info)
