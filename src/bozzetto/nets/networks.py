"""The five networks of one fit as a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.blocks import initialise
from bozzetto.nets.encoder import Encoder
from bozzetto.nets.offset_encoder import OffsetEncoder

NAMES = ("view", "light", "depth", "albedo", "offset")  # V, L, D, A, E


@dataclass(frozen=True)
class Networks:
    """V, L, D, A, E for pictures of one size. Built by `make_networks`; all of them read images in [-1, 1]."""

    view: Encoder
    light: Encoder
    depth: Autoencoder
    albedo: Autoencoder
    offset: OffsetEncoder

    def __iter__(self) -> Iterator[tuple[str, nn.Module]]:
        return ((name, getattr(self, name)) for name in NAMES)

    def parameters(self, names: Iterable[str]) -> list[nn.Parameter]:
        return [p for name in names for p in getattr(self, name).parameters()]

    def state(self) -> dict[str, Tensor]:
        """Every tensor under `network.parameter` names, for safetensors."""
        return {f"{name}.{key}": t for name, net in self for key, t in net.state_dict().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Strict inverse of `state`."""
        for name, net in self:
            prefix = name + "."
            net.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})

    def train_only(self, names: Iterable[str]) -> None:
        """Let gradients reach these networks and no others."""
        chosen = set(names)
        for name, net in self:
            net.requires_grad_(name in chosen)


def make_networks(
    size: int, w_dim: int, generator: torch.Generator, device: torch.device | str = "cpu", width: float = 1.0
) -> Networks:
    """Fresh networks, a function of the generator's state alone. Drawn on CPU, so that a seed means the same anywhere.

    Args:
        size: side of the pictures in pixels, a power of two from 16.
        w_dim: width of the generator's style vectors.
        width: of V, L, D and A against the papers' tables.
    """
    nets = Networks(
        view=Encoder(size, 6, width=width),
        light=Encoder(size, 4, width=width),
        depth=Autoencoder(size, 1, width=width),
        albedo=Autoencoder(size, 3, nn.Tanh(), width),
        offset=OffsetEncoder(size, w_dim),
    )
    for _, net in nets:
        initialise(net, generator)
        net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return nets
