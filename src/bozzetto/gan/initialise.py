"""Starting weights of a StyleGAN2 that is to be trained (paper's official settings), from an explicit generator."""

from __future__ import annotations

import torch
from torch import nn

from bozzetto.gan.discriminator import EqualConv
from bozzetto.gan.mapping import EqualLinear
from bozzetto.gan.stylegan2 import StyledConv, Synthesis, ToRgb


@torch.no_grad()
def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter and noise buffer in place.

    Weights N(0, 1) (over the learning-rate multiplier in linear layers, whose gain multiplies it back), biases 0, style
    biases 1 so that modulation starts as the identity, noise strength 0, learned input and stored noise N(0, 1).
    """
    for module in net.modules():
        if isinstance(module, EqualLinear):
            module.weight.normal_(0, 1 / module.lr_multiplier, generator=generator)
            module.bias.zero_()
        elif isinstance(module, EqualConv | StyledConv | ToRgb):
            module.weight.normal_(generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        if isinstance(module, StyledConv):
            module.noise_strength.zero_()
            module.noise.normal_(generator=generator)
        elif isinstance(module, Synthesis):
            module.const.normal_(generator=generator)
            for kernel in module.residual.values():
                kernel.normal_(generator=generator)
    for module in net.modules():
        if isinstance(module, StyledConv | ToRgb):
            module.style.bias.fill_(1.0)
