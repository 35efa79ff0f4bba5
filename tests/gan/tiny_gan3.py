"""Tiny StyleGAN3 generators with every tensor at work, and activations of about unit size in every layer."""

from __future__ import annotations

import torch

from bozzetto.gan.mapping import EqualLinear
from bozzetto.gan.spec3 import Schedule, StyleGan3Spec
from bozzetto.gan.stylegan3 import FilteredConv, FourierInput, Generator3

SMALL = {"num_layers": 5, "channel_base": 256, "channel_max": 8, "margin_size": 6}
R = {"conv_kernel": 1, "use_radial_filters": True}


def tiny_spec3(resolution: int = 32, classes: int = 0, **settings: object) -> StyleGan3Spec:
    """Configuration T, or R with **R."""
    schedule = Schedule(**(SMALL | settings))
    return schedule.spec(resolution, z_dim=6, w_dim=8, num_classes=classes)


@torch.no_grad()
def tiny_generator3(spec: StyleGan3Spec, seed: int = 3) -> Generator3:
    rng = torch.Generator().manual_seed(seed)
    g = Generator3(spec)
    for module in g.modules():
        if isinstance(module, EqualLinear):
            module.weight.normal_(0, 1 / module.lr_multiplier, generator=rng)
            module.bias.normal_(0, 0.3, generator=rng)
        elif isinstance(module, FilteredConv):
            module.weight.normal_(generator=rng)
            module.bias.normal_(0, 0.3, generator=rng)
            module.magnitude_ema.uniform_(0.8, 1.2, generator=rng)
        elif isinstance(module, FourierInput):
            module.weight.normal_(generator=rng)
            angle = 6.28 * torch.rand(len(module.freqs), generator=rng)
            radius = module.bandwidth * torch.rand(len(module.freqs), generator=rng)
            module.freqs.copy_(radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1))
            module.phases.uniform_(-0.5, 0.5, generator=rng)
    for module in g.modules():
        if isinstance(module, FilteredConv):
            module.style.bias += 1
        elif isinstance(module, FourierInput):
            module.affine.bias.copy_(torch.tensor([1.0, 0.2, 0.05, -0.03]))
            module.affine.weight *= 0.1
    return g
