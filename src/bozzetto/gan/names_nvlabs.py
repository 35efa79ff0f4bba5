"""The one table between NVIDIA's names of StyleGAN's tensors and ours, for `names.to_ours`. Strict: every tensor is
accounted for.

Intended differences, all checked: noise maps have two axes there and four here; the resampling filters that are stored
with every block are constants of the architecture, so they are compared, not loaded; `w_avg`, the mean latent, goes
beside the networks.
"""

from __future__ import annotations

from collections.abc import Iterator

from bozzetto.gan.names import Constant, Row
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.spec3 import StyleGan3Spec

W_AVG = "mapping.w_avg"


def _linear(theirs: str, ours: str, outputs: int, inputs: int) -> Iterator[Row]:
    yield Row(f"{theirs}.weight", f"{ours}.weight", (outputs, inputs))
    yield Row(f"{theirs}.bias", f"{ours}.bias", (outputs,))


def _conv(theirs: str, ours: str, cout: int, cin: int, k: int) -> Iterator[Row]:
    yield Row(f"{theirs}.weight", f"{ours}.weight", (cout, cin, k, k))
    yield Row(f"{theirs}.bias", f"{ours}.bias", (cout,))


def mapping_rows(z_dim: int, w_dim: int, num_layers: int, num_classes: int) -> Iterator[Row]:
    """The mapping of generators and of discriminators with classes."""
    if num_classes:
        yield from _linear("mapping.embed", "mapping.embed", w_dim, num_classes)
    for i in range(num_layers):
        inputs = w_dim if i else z_dim + (w_dim if num_classes else 0)
        yield from _linear(f"mapping.fc{i}", f"mapping.layers.{i}", w_dim, inputs)


def _styled_conv(theirs: str, ours: str, cout: int, cin: int, w_dim: int, size: int) -> Iterator[Row]:
    yield from _conv(theirs, ours, cout, cin, 3)
    yield from _linear(f"{theirs}.affine", f"{ours}.style", cin, w_dim)
    yield Row(f"{theirs}.noise_strength", f"{ours}.noise_strength", ())
    yield Row(f"{theirs}.noise_const", f"{ours}.noise", (size, size))


def generator_rows(spec: StyleGan2Spec) -> Iterator[Row]:
    """StyleGAN2-ADA's generator, and the StyleGAN2 that came with StyleGAN3."""
    c, d = spec.channels, spec.w_dim
    yield from mapping_rows(spec.z_dim, d, spec.num_mapping_layers, spec.num_classes)
    yield Row("synthesis.b4.const", "synthesis.const", (c[4], 4, 4))
    for i, size in enumerate(spec.resolutions):
        block, cin = f"synthesis.b{size}", c[max(size // 2, 4)]
        if size > 4:
            yield from _styled_conv(f"{block}.conv0", f"synthesis.layers.{2 * i - 1}", c[size], cin, d, size)
        yield from _styled_conv(f"{block}.conv1", f"synthesis.layers.{2 * i}", c[size], c[size], d, size)
        if spec.generator_arch == "skip" or size == spec.resolution:
            yield from _conv(f"{block}.torgb", f"synthesis.to_rgb.{size}", 3, c[size], 1)
            yield from _linear(f"{block}.torgb.affine", f"synthesis.to_rgb.{size}.style", c[size], d)
        if spec.generator_arch == "resnet" and size > 4:
            yield Row(f"{block}.skip.weight", f"synthesis.residual.{size}", (c[size], cin, 1, 1))


def discriminator_rows(spec: StyleGan2Spec) -> Iterator[Row]:
    """The discriminator of all of them, StyleGAN3 included."""
    c, arch = spec.channels_d, spec.discriminator_arch
    for i, size in enumerate(spec.resolutions[::-1]):
        if i == 0 or arch == "skip":
            yield from _conv(f"b{size}.fromrgb", f"from_rgb.{size}", c[size], 3, 1)
        if size > 4:
            yield from _conv(f"b{size}.conv0", f"blocks.{i}.conv1", c[size], c[size], 3)
            yield from _conv(f"b{size}.conv1", f"blocks.{i}.conv2", c[size // 2], c[size], 3)
            if arch == "resnet":
                yield Row(f"b{size}.skip.weight", f"blocks.{i}.skip.weight", (c[size // 2], c[size], 1, 1))
    yield from _conv("b4.conv", "final_conv", c[4], c[4] + spec.mbstd_channels, 3)
    yield from _linear("b4.fc", "final_linear", c[4], c[4] * 16)
    yield from _linear("b4.out", "logit", spec.cmap_channels, c[4])
    if spec.num_classes:
        yield from mapping_rows(0, spec.cmap_channels, spec.num_cmap_layers, spec.num_classes)


def generator3_rows(spec: StyleGan3Spec) -> Iterator[Row]:
    """StyleGAN3's generator, filters included: they are loaded, so that a picture cannot hang on their design."""
    yield from mapping_rows(spec.z_dim, spec.w_dim, spec.num_mapping_layers, spec.num_classes)
    channels = spec.layers[0].in_channels
    yield from _linear("synthesis.input.affine", "synthesis.input.affine", 4, spec.w_dim)
    shapes = {"weight": (channels, channels), "transform": (3, 3), "freqs": (channels, 2), "phases": (channels,)}
    for name, shape in shapes.items():
        yield Row(f"synthesis.input.{name}", f"synthesis.input.{name}", shape)
    for i, layer in enumerate(spec.layers):
        theirs, ours = f"synthesis.L{i}_{layer.out_size}_{layer.out_channels}", f"synthesis.layers.{i}"
        yield from _conv(theirs, ours, layer.out_channels, layer.in_channels, layer.kernel)
        yield from _linear(f"{theirs}.affine", f"{ours}.style", layer.in_channels, spec.w_dim)
        yield Row(f"{theirs}.magnitude_ema", f"{ours}.magnitude_ema", ())
        if layer.up_taps > 1:
            yield Row(f"{theirs}.up_filter", f"{ours}.up_filter", (layer.up_taps,))
        if layer.down_taps > 1:
            axes = 2 if layer.radial else 1
            yield Row(f"{theirs}.down_filter", f"{ours}.down_filter", (layer.down_taps,) * axes)


def generator_constants(spec: StyleGan2Spec) -> Iterator[Constant]:
    for size in spec.resolutions:
        for layer in ("", "conv0.", "conv1.", "skip."):
            yield Constant(f"synthesis.b{size}.{layer}resample_filter", 1.0)


def discriminator_constants(spec: StyleGan2Spec) -> Iterator[Constant]:
    for size in spec.resolutions:
        for layer in ("", "fromrgb.", "conv.", "conv0.", "conv1.", "skip."):
            yield Constant(f"b{size}.{layer}resample_filter", 1.0)
