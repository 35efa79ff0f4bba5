"""What all StyleGANs have in common: the equalised linear layer and f: z -> w (Karras et al., CVPR 2019, section 2).

Parameters are stored the equalised way: drawn from N(0, 1) (see `initialise.py`; a new module's are unset) and
multiplied by their gain at use.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops


class EqualLinear(nn.Module):
    """y = x (gain W)^T + m b with gain = m / sqrt(inputs); m is the learning-rate multiplier."""

    def __init__(self, inputs: int, outputs: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.gain = lr_multiplier / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return F.linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)


class Mapping(nn.Module):
    """Equal linear layers with scaled leaky ReLU after the pixel norm of z.

    Of several classes (Karras et al. 2020, "Training GANs with limited data", appendix): the embedded label is
    normalised the same way and joins z. z_dim = 0: the label alone (the discriminator's).
    """

    def __init__(
        self, z_dim: int, w_dim: int, num_layers: int, lr_multiplier: float = 0.01, num_classes: int = 0
    ) -> None:
        super().__init__()
        self.embed = EqualLinear(num_classes, w_dim) if num_classes else None
        dims = [z_dim + (w_dim if num_classes else 0)] + [w_dim] * num_layers
        self.layers = nn.ModuleList(EqualLinear(a, b, lr_multiplier) for a, b in itertools.pairwise(dims))

    def inputs(self, z: Float[Tensor, "b z"] | None, label: Float[Tensor, "b c"] | None = None) -> Float[Tensor, "b i"]:
        """What the first layer sees: z and the embedded label, each over its root mean square."""
        parts = [] if z is None else [ops.pixel_norm(z)]
        if self.embed is not None:
            assert label is not None, "a network of several classes needs a label"
            parts.append(ops.pixel_norm(self.embed(label)))
        return torch.cat(parts, dim=1)

    def head(
        self, z: Float[Tensor, "b z"] | None, k: int, label: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b d"]:
        """Pixel norm and all but the last k layers."""
        x = self.inputs(z, label)
        for layer in self.layers[: len(self.layers) - k]:
            x = ops.scaled_leaky_relu(layer(x))
        return x

    def tail(self, x: Float[Tensor, "b d"], k: int) -> Float[Tensor, "b w"]:
        """The last k layers."""
        for layer in self.layers[len(self.layers) - k :]:
            x = ops.scaled_leaky_relu(layer(x))
        return x

    def forward(
        self, z: Float[Tensor, "b z"] | None, label: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b w"]:
        """label: one-hot, where the network has classes."""
        return self.tail(self.inputs(z, label), len(self.layers))
