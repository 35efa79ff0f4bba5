"""What the exports draw from: the picture fields of a finished reconstruction, on the CPU, without a batch axis."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from bozzetto.types import Camera, DepthRange, Factors, ThroughGan


@runtime_checkable
class Scene(Protocol):
    """The part of `results.Reconstruction` that pictures, meshes and films are made of (described there).

    A protocol, because `results` builds on `export` and not the other way round.
    """

    @property
    def title(self) -> str: ...
    @property
    def image(self) -> Float[Tensor, "3 s s"]: ...
    @property
    def inversion(self) -> Float[Tensor, "3 s s"]: ...
    @property
    def recon(self) -> Float[Tensor, "3 s s"]: ...
    @property
    def recon_mask(self) -> Float[Tensor, "1 s s"]: ...
    @property
    def mask(self) -> Float[Tensor, "1 s s"]: ...
    @property
    def canonical_mask(self) -> Float[Tensor, "1 s s"]: ...
    @property
    def depth(self) -> Float[Tensor, "1 s s"]: ...
    @property
    def depth_posed(self) -> Float[Tensor, "1 s s"]: ...
    @property
    def normal(self) -> Float[Tensor, "3 s s"]: ...
    @property
    def normal_posed(self) -> Float[Tensor, "3 s s"]: ...
    @property
    def albedo(self) -> Float[Tensor, "3 s s"]: ...
    @property
    def shading(self) -> Float[Tensor, "1 s s"]: ...
    @property
    def view(self) -> Float[Tensor, "6"]: ...
    @property
    def light(self) -> Float[Tensor, "4"]: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def depth_range(self) -> DepthRange: ...
    @property
    def through_gan(self) -> ThroughGan | None: ...


def factors_of(scene: Scene) -> Factors:
    """The scene's canonical factors as a batch of one."""
    return Factors(depth=scene.depth[None], albedo=scene.albedo[None], view=scene.view[None], light=scene.light[None])
