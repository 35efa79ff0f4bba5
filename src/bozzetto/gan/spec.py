"""What a StyleGAN2 checkpoint has to say about itself before a network of its shape can be built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bozzetto.errors import CheckpointError
from bozzetto.gan.pickle_records import one_line

GeneratorArch = Literal["skip", "resnet", "orig"]
DiscriminatorArch = Literal["resnet", "skip", "orig"]
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024
MAX_CLASSES = 100_000
WHOLE_BATCH = 2**20  # group of the minibatch deviation where it is all that there is


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
    mbstd_channels: int = 1  # groups of channels, each with a deviation of its own
    # What NVIDIA's PyTorch version adds (StyleGAN2-ADA, and the StyleGAN2 that came with StyleGAN3):
    conv_clamp: float | None = None  # activations and colours of every generator layer are cut off at +- this
    discriminator_conv_clamp: float | None = None
    demodulates_stored_weight: bool = False  # before the equalised gain: the epsilon of the norm weighs less
    num_classes: int = 0  # 0: one kind of picture only
    cmap_dim: int | None = None  # of the mapped label that the discriminator projects on; None: its channels at 4x4
    num_cmap_layers: int = 8
    cmap_lr_multiplier: float = 0.01

    def __post_init__(self) -> None:
        log2 = math.log2(self.resolution) if self.resolution > 0 else 0.5
        if log2 != int(log2) or not MIN_RESOLUTION <= self.resolution <= MAX_RESOLUTION:
            raise CheckpointError(
                f"The generator's size must be a power of two from {MIN_RESOLUTION} to {MAX_RESOLUTION}, "
                f"not {one_line(self.resolution, 20)}."
            )
        for table in (self.channels, self.channels_d):
            if sorted(table) != self.resolutions or not all(1 <= c <= 8192 for c in table.values()):
                raise CheckpointError(
                    f"The channel table must give a count from 1 to 8192 for each of the sizes {self.resolutions}."
                )
        for name in ("z_dim", "w_dim", "num_mapping_layers"):
            if not 1 <= getattr(self, name) <= 8192:
                said = one_line(getattr(self, name), 40)
                raise CheckpointError(f"The checkpoint's {name} is {said}, which cannot be right.")
        for name, high in (
            ("mbstd_channels", self.channels_d[4]),
            ("num_classes", 1_000_000),
            ("num_cmap_layers", 100),
            ("mbstd_group", WHOLE_BATCH),
        ):
            if not 0 <= getattr(self, name) <= high:
                said = one_line(getattr(self, name), 40)
                raise CheckpointError(f"The checkpoint's {name} is {said}, which cannot be right.")
        if self.mbstd_group < 1 or not 1 <= self.cmap_channels <= 8192:
            raise CheckpointError(
                f"The checkpoint's mbstd_group and cmap_dim are {one_line(self.mbstd_group, 40)} and "
                f"{one_line(self.cmap_dim, 40)}, which cannot be right."
            )
        for clamp in (self.conv_clamp, self.discriminator_conv_clamp):
            if clamp is not None and not 0 < clamp < math.inf:
                raise CheckpointError(f"The checkpoint's conv_clamp is {clamp}, which cannot be right.")

    @property
    def kind(self) -> str:
        return "stylegan2"

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

    @property
    def cmap_channels(self) -> int:
        """Length of the discriminator's output before it is projected on the mapped label; 1 without classes."""
        if not self.num_classes:
            return 1
        return self.channels_d[4] if self.cmap_dim is None else self.cmap_dim

    def describe(self) -> dict[str, Any]:
        """The architecture in a few plain values, for people."""
        return {
            "generator_arch": self.generator_arch,
            "channels": {str(size): count for size, count in self.channels.items()},
            "conv_clamp": self.conv_clamp,
        }
