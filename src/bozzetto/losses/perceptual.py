"""Perceptual distances by name, behind one protocol.

Each compares a prediction with a target where a mask says so. Outside the mask the prediction is replaced by the
target first (`composite`): a network with a receptive field would otherwise see an edge that is nobody's fault.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Perceptual(Protocol):
    """A perceptual distance. `name` is what settings and results call it."""

    name: str

    def features(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """What it compares, of images in [0, 1]; each item by itself, so that a target's can be kept."""
        ...

    def compare(
        self,
        predicted: Float[Tensor, "b 3 h w"],
        target: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        wanted: list[Tensor],
    ) -> Float[Tensor, "b"]:
        """As the call, with the target's features known already."""
        ...

    def __call__(
        self,
        predicted: Float[Tensor, "b 3 h w"],
        target: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b"]:
        """Distance of each item; images in [0, 1], soft mask in [0, 1]. Gradients reach `predicted` alone."""
        ...


def composite(
    predicted: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 3 h w"]:
    """The prediction inside the mask, the target outside; no gradient reaches the target."""
    target = target.detach()
    return target + (predicted - target) * mask
