"""What a StyleGAN3 checkpoint has to say about itself, and the paper's rule for the layers (Karras et al., "Alias-Free
Generative Adversarial Networks", NeurIPS 2021, section 3.2 and appendix D)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bozzetto.errors import CheckpointError
from bozzetto.gan.spec import MAX_CLASSES, MAX_RESOLUTION

MAX_CHANNELS, MAX_TAPS, MAX_LAYERS = 8192, 256, 100


@dataclass(frozen=True)
class LayerSpec:
    """One convolution with its filtered nonlinearity. Sizes are pixels with the margin around the image; rates are
    samples, cutoffs and half widths of the transition bands cycles across the image without margin."""

    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    in_rate: int
    rate: int  # at which the nonlinearity is computed
    out_rate: int
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    kernel: int  # 3 in configuration T, 1 in R
    up_taps: int  # 1: no filter
    down_taps: int
    radial: bool  # the downsampling filter is the same for every direction
    clamp: float | None
    is_rgb: bool  # the last layer: no demodulation, no nonlinearity

    @property
    def up(self) -> int:
        return self.rate // self.in_rate

    @property
    def down(self) -> int:
        return self.rate // self.out_rate

    @property
    def pad(self) -> tuple[int, int]:
        """Before and after, at the higher rate: what makes `out_size`, centred (appendix C.3)."""
        wanted = (self.out_size - 1) * self.down + 1
        total = wanted - (self.in_size + self.kernel - 1) * self.up + self.up_taps + self.down_taps - 2
        before = (total + self.up) // 2
        return before, total - before


@dataclass(frozen=True)
class StyleGan3Spec:
    """Shape of a StyleGAN3 generator: mapping, Fourier features, and a row a layer."""

    resolution: int  # pixels
    input_size: int  # pixels of the Fourier features, margin included
    input_rate: float  # samples across the image
    input_bandwidth: float  # cycles across the image
    layers: tuple[LayerSpec, ...]
    z_dim: int = 512
    w_dim: int = 512
    num_mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01
    num_classes: int = 0
    output_scale: float = 0.25

    def __post_init__(self) -> None:
        sizes = [self.input_size, *(layer.out_size for layer in self.layers)]
        sizes += [layer.in_size for layer in self.layers]
        counts = [n for layer in self.layers for n in (layer.in_channels, layer.out_channels)]
        counts += [self.z_dim, self.w_dim, self.num_mapping_layers]
        rates = [rate for layer in self.layers for rate in (layer.in_rate, layer.rate, layer.out_rate)]
        taps = [n for layer in self.layers for n in (layer.up_taps, layer.down_taps, layer.kernel)]
        numbers = [self.input_rate, self.input_bandwidth, self.mapping_lr_multiplier]
        chain = list(zip(self.layers, self.layers[1:], strict=False))
        if not (
            1 <= len(self.layers) <= MAX_LAYERS
            and 8 <= self.resolution <= MAX_RESOLUTION
            and all(1 <= n <= 2 * MAX_RESOLUTION for n in sizes)
            and all(1 <= n <= MAX_CHANNELS for n in counts)
            and all(1 <= n <= 16 * MAX_RESOLUTION for n in rates)
            and all(1 <= n <= MAX_TAPS for n in taps)
            and all(0 < n < math.inf for n in numbers)
            and 2 * self.input_bandwidth < self.input_rate
            and math.isfinite(self.output_scale)
            and 0 <= self.num_classes <= MAX_CLASSES
            and all(layer.rate % layer.in_rate == layer.rate % layer.out_rate == 0 for layer in self.layers)
            and all(layer.clamp is None or 0 < layer.clamp < math.inf for layer in self.layers)
            and all((a.out_size, a.out_channels) == (b.in_size, b.in_channels) for a, b in chain)
            and (self.input_size, self.resolution) == (self.layers[0].in_size, self.layers[-1].out_size)
            and self.layers[-1].out_channels == 3
        ):
            raise CheckpointError("The checkpoint states layers that do not make a StyleGAN3 generator of RGB images.")

    @property
    def kind(self) -> str:
        """R is the configuration that turns with the picture: 1x1 convolutions."""
        return "stylegan3-r" if all(layer.kernel == 1 for layer in self.layers) else "stylegan3-t"

    @property
    def num_ws(self) -> int:
        """How many layers take their own w: the Fourier features, and every convolution."""
        return len(self.layers) + 1

    def describe(self) -> dict[str, Any]:
        """The architecture in a few plain values, for people."""
        layers = [
            {"size": layer.out_size, "rate": layer.out_rate, "channels": layer.out_channels} for layer in self.layers
        ]
        return {"layers": layers, "conv_clamp": self.layers[0].clamp}


@dataclass(frozen=True)
class Schedule:
    """The settings from which the paper makes its layers; defaults are those of configuration T."""

    num_layers: int = 14  # without the Fourier features and the last one
    num_critical: int = 2  # layers at the end that are sampled critically
    channel_base: int = 32768
    channel_max: int = 512
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3  # of the last cutoff
    margin_size: int = 10  # pixels around the image
    conv_kernel: int = 3
    filter_size: int = 6  # taps a sample of the lower rate
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256.0

    def layers(self, resolution: int) -> tuple[LayerSpec, ...]:
        """Cutoff and stopband grow geometrically from the first layer to the first critical one; the rate is the next
        power of two that holds the stopband, the transition band is what is left to it (section 3.2)."""
        steps = np.minimum(np.arange(self.num_layers + 1) / (self.num_layers - self.num_critical), 1.0)
        last_cutoff = resolution / 2
        last_stopband = last_cutoff * self.last_stopband_rel
        cutoffs = self.first_cutoff * (last_cutoff / self.first_cutoff) ** steps
        stopbands = self.first_stopband * (last_stopband / self.first_stopband) ** steps
        rates = np.exp2(np.ceil(np.log2(np.clip(2 * stopbands, 1, resolution)))).astype(int)
        half_widths = np.maximum(stopbands, rates / 2) - cutoffs
        sizes = rates + 2 * self.margin_size
        sizes[-2:] = resolution
        channels = np.rint(np.minimum(self.channel_base / 2 / cutoffs, self.channel_max)).astype(int)
        channels[-1] = 3
        rows = []
        for i in range(self.num_layers + 1):
            before, is_rgb = max(i - 1, 0), i == self.num_layers
            rate = int(max(rates[before], rates[i])) * (1 if is_rgb else self.lrelu_upsampling)
            up, down = (0 if is_rgb else rate // int(r) for r in (rates[before], rates[i]))
            rows.append(
                LayerSpec(
                    in_channels=int(channels[before]),
                    out_channels=int(channels[i]),
                    in_size=int(sizes[before]),
                    out_size=int(sizes[i]),
                    in_rate=int(rates[before]),
                    rate=rate,
                    out_rate=int(rates[i]),
                    in_cutoff=float(cutoffs[before]),
                    out_cutoff=float(cutoffs[i]),
                    in_half_width=float(half_widths[before]),
                    out_half_width=float(half_widths[i]),
                    kernel=1 if is_rgb else self.conv_kernel,
                    up_taps=self.filter_size * up if up > 1 else 1,
                    down_taps=self.filter_size * down if down > 1 else 1,
                    radial=self.use_radial_filters and i < self.num_layers - self.num_critical,
                    clamp=self.conv_clamp,
                    is_rgb=is_rgb,
                )
            )
        return tuple(rows)

    def spec(self, resolution: int, **rest: Any) -> StyleGan3Spec:
        """The generator of these settings; `rest` are further fields of `StyleGan3Spec`."""
        layers = self.layers(resolution)
        first = layers[0]
        return StyleGan3Spec(resolution, first.in_size, float(first.in_rate), first.in_cutoff, layers, **rest)
