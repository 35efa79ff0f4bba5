"""What `generator.Gan` asks of a generator, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan.mapping import Mapping


@runtime_checkable
class GanSpec(Protocol):
    """The numbers that a generator is built from. Frozen dataclasses implement it, one a kind of generator."""

    @property
    def kind(self) -> str: ...  # "stylegan2", "stylegan3-t", "stylegan3-r"
    @property
    def resolution(self) -> int: ...  # pixels
    @property
    def z_dim(self) -> int: ...
    @property
    def w_dim(self) -> int: ...
    @property
    def num_ws(self) -> int: ...  # layers that take their own w
    @property
    def num_mapping_layers(self) -> int: ...
    @property
    def num_classes(self) -> int: ...  # 0: one kind of picture only
    def describe(self) -> dict[str, Any]:
        """The architecture in a few plain values, for people."""
        ...


class SynthesisNet(nn.Module, ABC):
    """g: w -> image."""

    layers: nn.ModuleList  # in order; each makes activations [b, c, h, w]

    @abstractmethod
    def sides(self) -> list[int]:
        """Pixels that the picture itself spans, a side, in what each layer makes; a margin around it comes on top."""

    @abstractmethod
    def noises(self) -> list[Float[Tensor, "1 1 _ _"]]:
        """The stored noise of every layer that takes some."""

    @abstractmethod
    def forward(
        self, w: Float[Tensor, "b l d"], noises: Sequence[Float[Tensor, "n 1 _ _"]] | None
    ) -> Float[Tensor, "b 3 s s"]:
        """Pictures; without noises where they are None."""


class GeneratorNet(nn.Module):
    """Mapping and synthesis. A kind of its own also has a row in `generator.FROZEN` and one in `own_format.KINDS`."""

    spec: GanSpec
    mapping: Mapping
    synthesis: SynthesisNet
