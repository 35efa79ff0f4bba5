"""A GAN computed the obvious way, to measure `frozen.py` against: the readable modules as they are, in float32.

The weights of every item's modulated convolution are built, all items go through one grouped convolution, gains are
multiplied at use, activations lie as torch lays them. The values are those of `Gan` but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan.generator import Gan, NoiseMode
from bozzetto.precision import Precision


class PlainGan(Gan):
    """`Gan` without its fast path. Made by `plain`."""

    def image_from_w(
        self,
        w: Float[Tensor, "b d"] | Float[Tensor, "b l d"],
        noise: NoiseMode | Sequence[Float[Tensor, "n 1 _ _"]] = "const",
        generator: torch.Generator | None = None,
        precision: Precision | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        """See `Gan.image_from_w`; the precision is float32, whatever is asked for."""
        if w.ndim == 2:
            w = w[:, None].expand(-1, self.info.num_ws, -1)
        return self.generator.synthesis(w, self._noises(noise, w.shape[0], generator))

    def features(
        self,
        image: Float[Tensor, "b 3 s s"],
        count: int | Sequence[str] = 4,
        precision: Precision | None = None,
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """See `Gan.features`; the precision is float32, whatever is asked for."""
        names = self.feature_names
        wanted = names[1 : 1 + count] if isinstance(count, int) else list(count)
        taps = self._discriminator().features(image, max(names.index(name) for name in wanted))
        return [taps[names.index(name)] for name in wanted]


def plain(gan: Gan) -> PlainGan:
    """The same GAN, weights shared, computed the obvious way."""
    return PlainGan(gan.generator, gan.discriminator, gan.info, gan.device, w_avg=gan.w_avg)
