"""What a StyleGAN2 checkpoint has to say about itself before a network of its shape can be built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bozzetto.errors import CheckpointError

GeneratorArch = Literal["skip", "resnet", "orig"]
DiscriminatorArch = Literal["resnet", "skip", "orig"]
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024


@dataclass(frozen=True)
class StyleGan2Spec:
    """Shape of a StyleGAN2 pair (paper, figure 7, for the architectures). Channel tables go resolution -> channels."""

    resolution: int  # pixels, a power of two
    channels: Mapping[int, int]  # generator; 4, 8, ... resolution
    z_dim: int = 512
    w_dim: int = 512
    num_mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    generator_arch: GeneratorArch = "skip"
    discriminator_arch: DiscriminatorArch = "resnet"
    discriminator_channels: Mapping[int, int] | None = None  # None: the generator's
    mbstd_group: int = 4  # items whose deviation the discriminator looks at together while it is trained

    def __post_init__(self) -> None:
        log2 = math.log2(self.resolution) if self.resolution > 0 else 0.5
        if log2 != int(log2) or not MIN_RESOLUTION <= self.resolution <= MAX_RESOLUTION:
            raise CheckpointError(
                f"The generator's size must be a power of two from {MIN_RESOLUTION} to {MAX_RESOLUTION}, "
                f"not {self.resolution}."
            )
        for table in (self.channels, self.channels_d):
            if sorted(table) != self.resolutions or not all(1 <= c <= 8192 for c in table.values()):
                raise CheckpointError(
                    f"The channel table must give a count for each of the sizes {self.resolutions}, not {dict(table)}."
                )
        for name in ("z_dim", "w_dim", "num_mapping_layers"):
            if not 1 <= getattr(self, name) <= 8192:
                raise CheckpointError(f"The checkpoint's {name} is {getattr(self, name)}, which cannot be right.")

    @property
    def resolutions(self) -> list[int]:
        """4, 8, ... resolution."""
        return [2**i for i in range(2, int(math.log2(self.resolution)) + 1)]

    @property
    def num_ws(self) -> int:
        """How many layers take their own w: two a resolution."""
        return 2 * len(self.resolutions)

    @property
    def channels_d(self) -> Mapping[int, int]:
        return self.channels if self.discriminator_channels is None else self.discriminator_channels
