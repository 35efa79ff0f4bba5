"""What a network of NVIDIA's is, read from its record: from the tensors wherever they can tell, from what modules keep
(or their constructors were given) where they cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan.names import axis, count
from bozzetto.gan.persistent import Module, as_dict, clamp_of, flag, number, numbers, plain, whole
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.spec import MAX_RESOLUTION, WHOLE_BATCH, StyleGan2Spec
from bozzetto.gan.spec3 import LayerSpec, Schedule, StyleGan3Spec

MAX_SIZES = 10  # one more than 4, 8, ... 1024


def spec2_of(g: Module, file: str) -> StyleGan2Spec:
    """A StyleGAN2 generator. Raises CheckpointError for what this program does not compute."""
    tensors = g.flat()
    sizes = _sizes(tensors, "synthesis.b{}.conv1.weight", file)
    conv = _module(g, "synthesis.b4.conv1", file)
    _check_activation(conv, file)
    return StyleGan2Spec(
        sizes[-1],
        {size: axis(tensors, f"synthesis.b{size}.conv1.weight", 0, file) for size in sizes},
        generator_arch="resnet"
        if "synthesis.b8.skip.weight" in tensors
        else ("skip" if "synthesis.b4.torgb.weight" in tensors else "orig"),
        conv_clamp=clamp_of(conv.kept("conv_clamp", default_clamp(g)), file),
        demodulates_stored_weight=True,
        **_mapping(g, tensors, file),
    )


def default_clamp(g: Module) -> Any:
    """What the generator was given as clamp, or else the default of its version: only StyleGAN2-ADA, which had none,
    took the settings of the synthesis as a dict of their own."""
    nested = "synthesis_kwargs" in g.settings
    return (dict(g.settings) | as_dict(g.settings.get("synthesis_kwargs"))).get("conv_clamp", None if nested else 256)


def discriminator_spec(d: Module, clamp: Any, file: str) -> StyleGan2Spec:
    """A discriminator; `clamp` is the default of its version. Raises CheckpointError."""
    tensors = d.flat()
    sizes = [4, *_sizes(tensors, "b{}.conv0.weight", file, start=8)]
    conv, mapping = _module(d, "b4.conv", file), d.child("mapping")
    _check_activation(conv, file)
    channels = {size: axis(tensors, f"b{size}.conv0.weight", 1, file) for size in sizes[1:]}
    channels[4] = axis(tensors, "b4.conv.weight", 0, file)
    deviation = d.child("b4.mbstd")
    group = as_dict(d.settings.get("epilogue_kwargs")).get("mbstd_group_size", 4)
    group = group if deviation is None else deviation.kept("group_size", group)
    spec = StyleGan2Spec(
        sizes[-1],
        channels,
        discriminator_arch="resnet"
        if "b8.skip.weight" in tensors
        else ("skip" if "b4.fromrgb.weight" in tensors else "orig"),
        mbstd_group=WHOLE_BATCH if group is None else max(1, whole(group, "mbstd_group_size", file)),
        mbstd_channels=axis(tensors, "b4.conv.weight", 1, file) - channels[4],
        discriminator_conv_clamp=clamp_of(conv.kept("conv_clamp", d.settings.get("conv_clamp", clamp)), file),
    )
    if mapping is None:
        return spec
    return replace(
        spec,
        num_classes=axis(tensors, "mapping.embed.weight", 1, file),
        cmap_dim=axis(tensors, "b4.out.weight", 0, file),
        num_cmap_layers=count(tensors, "mapping.fc{}.weight"),
        cmap_lr_multiplier=_lr_multiplier(d, file),
    )


# -- StyleGAN3 -------------------------------------------------------------------------------------------------------


def spec3_of(g: Module, file: str) -> StyleGan3Spec:
    """A StyleGAN3 generator of any configuration. Raises CheckpointError for what this program does not compute."""
    tensors = g.flat()
    synthesis, source = _module(g, "synthesis", file), _module(g, "synthesis.input", file)
    given = dict(g.settings) | dict(synthesis.settings)
    found = [re.fullmatch(r"L(\d{1,3})_(\d{1,5})_(\d{1,5})", name) for name in synthesis.children]
    named = sorted((int(m[1]), int(m[2]), m[0]) for m in found if m)
    if len(named) < 2:
        raise CheckpointError(f"The file {file} lacks the layers of a StyleGAN3 generator.")
    resolution = named[-1][1]
    if not 8 <= resolution <= MAX_RESOLUTION:
        raise CheckpointError(
            f"The file {file} holds a generator of {resolution} pixels; 8 to {MAX_RESOLUTION} are possible."
        )
    guesses = _schedule(given, len(named) - 1, file).layers(resolution)
    layers = tuple(
        _layer(_module(synthesis, name, file), guess, file) for (*_, name), guess in zip(named, guesses, strict=True)
    )
    first = layers[0]
    return StyleGan3Spec(
        resolution,
        input_size=_side(source.kept("size", first.in_size), file),
        input_rate=number(source.kept("sampling_rate", first.in_rate), "sampling_rate", file),
        input_bandwidth=number(source.kept("bandwidth", first.in_cutoff), "bandwidth", file),
        layers=layers,
        output_scale=number(synthesis.kept("output_scale", given.get("output_scale", 0.25)), "output_scale", file),
        **_mapping(g, tensors, file),
    )


def _schedule(given: Mapping[str, Any], num_layers: int, file: str) -> Schedule:
    """The paper's rule with the settings that the constructor was given: for what the modules themselves do not say."""
    settings: dict[str, Any] = {}
    for field in fields(Schedule):
        if field.name in given and field.name != "num_layers":
            value = plain(given[field.name])
            if field.name == "conv_clamp":
                settings[field.name] = clamp_of(value, file)
            elif field.type == "bool":
                settings[field.name] = flag(value, field.name, file)
            elif field.type == "int":
                settings[field.name] = whole(value, field.name, file)
            else:
                settings[field.name] = number(value, field.name, file)
    schedule = Schedule(num_layers=num_layers, **settings)
    positive = (schedule.first_cutoff, schedule.first_stopband, schedule.last_stopband_rel, schedule.channel_base)
    if not 0 <= schedule.num_critical < num_layers or not all(1e-3 < n < 1e6 for n in positive):
        raise CheckpointError(f"The file {file} states settings that no StyleGAN3 generator has.")
    counts = (schedule.margin_size, schedule.filter_size, schedule.lrelu_upsampling)
    if not all(0 <= n < 1000 for n in counts) or not 0 < schedule.channel_max < 1e6:
        raise CheckpointError(f"The file {file} states settings that no StyleGAN3 generator has.")
    return schedule


def _layer(module: Module, guess: LayerSpec, file: str) -> LayerSpec:
    """The layer as it is: shapes from its tensors, rates and cutoffs from what it keeps."""

    def kept(name: str, default: object) -> float:
        return number(module.kept(name, default), name, file)

    def rate(name: str, default: object) -> int:
        return whole(module.kept(name, default), name, file)

    up, down = module.tensors.get("up_filter"), module.tensors.get("down_filter")
    layer = LayerSpec(
        in_channels=axis(module.tensors, "weight", 1, file),
        out_channels=axis(module.tensors, "weight", 0, file),
        in_size=_side(module.kept("in_size", guess.in_size), file),
        out_size=_side(module.kept("out_size", guess.out_size), file),
        in_rate=rate("in_sampling_rate", guess.in_rate),
        rate=rate("tmp_sampling_rate", guess.rate),
        out_rate=rate("out_sampling_rate", guess.out_rate),
        in_cutoff=kept("in_cutoff", guess.in_cutoff),
        out_cutoff=kept("out_cutoff", guess.out_cutoff),
        in_half_width=kept("in_half_width", guess.in_half_width),
        out_half_width=kept("out_half_width", guess.out_half_width),
        kernel=axis(module.tensors, "weight", 2, file),
        up_taps=1 if up is None or up.ndim == 0 else up.shape[-1],
        down_taps=1 if down is None or down.ndim == 0 else down.shape[-1],
        radial=down is not None and down.ndim == 2,
        clamp=clamp_of(module.kept("conv_clamp", guess.clamp), file),
        is_rgb=flag(module.kept("is_torgb", guess.is_rgb), "is_torgb", file),
    )
    padding = module.kept("padding")
    if padding is not None and min(layer.in_rate, layer.out_rate) > 0 and numbers(padding) != [*layer.pad, *layer.pad]:
        raise CheckpointError(f"The file {file} holds a layer whose padding is not StyleGAN3's.")
    return layer


def _side(value: object, file: str) -> int:
    """Pixels of a square: a number, or two that are equal."""
    sides = numbers(value) if isinstance(value, list | tuple) else [number(value, "a size", file)]
    if sides is None or not 1 <= len(sides) <= 2 or sides[0] != sides[-1]:
        raise CheckpointError(f"The file {file} holds a generator of pictures that are not square.")
    return whole(sides[0], "a size", file)


# -- both ------------------------------------------------------------------------------------------------------------


def _mapping(g: Module, tensors: Mapping[str, Tensor], file: str) -> dict[str, Any]:
    classes = axis(tensors, "mapping.embed.weight", 1, file) if "mapping.embed.weight" in tensors else 0
    embedded = axis(tensors, "mapping.embed.weight", 0, file) if classes else 0
    layers = count(tensors, "mapping.fc{}.weight")
    if not layers:
        raise CheckpointError(f"The file {file} lacks the mapping of a StyleGAN generator.")
    return {
        "z_dim": axis(tensors, "mapping.fc0.weight", 1, file) - embedded,
        "w_dim": axis(tensors, f"mapping.fc{layers - 1}.weight", 0, file),
        "num_mapping_layers": layers,
        "mapping_lr_multiplier": _lr_multiplier(g, file),
        "num_classes": classes,
    }


def _lr_multiplier(net: Module, file: str) -> float:
    """Of the mapping's layers: each keeps it as the gain of its bias."""
    layer, mapping = net.child("mapping.fc0"), _module(net, "mapping", file)
    default = as_dict(net.settings.get("mapping_kwargs")).get("lr_multiplier", 0.01)
    _check_activation(layer or mapping, file)
    value = mapping.kept("lr_multiplier", default) if layer is None else layer.kept("bias_gain", default)
    return number(value, "lr_multiplier", file)


def _check_activation(module: Module, file: str) -> None:
    activation = module.kept("activation", "lrelu")
    if not isinstance(activation, str) or activation != "lrelu":
        raise CheckpointError(
            f"The file {file} holds a network with the activation {one_line(activation, 40)}; only lrelu is supported."
        )


def _module(net: Module, path: str, file: str) -> Module:
    found = net.child(path)
    if found is None:
        raise CheckpointError(f"The file {file} lacks the module '{path}' of a {one_line(net.class_name, 40)}.")
    return found


def _sizes(tensors: Mapping[str, Tensor], pattern: str, file: str, start: int = 4) -> list[int]:
    """start, 2 start, 4 start, ... as far as there are tensors of these names."""
    sizes: list[int] = []
    while len(sizes) < MAX_SIZES and pattern.format(start * 2 ** len(sizes)) in tensors:
        sizes.append(start * 2 ** len(sizes))
    if not sizes:
        raise CheckpointError(f"The file {file} lacks the tensor '{pattern.format(start)}'.")
    return sizes
