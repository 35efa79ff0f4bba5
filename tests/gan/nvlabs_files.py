"""Pickles as NVIDIA's programs write them, built at test time: the official layout of classes, names and attributes.

A module pickles by its dict, wrapped with source text. The source here ends the process if anything runs it.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from bozzetto.gan import names, names_nvlabs, ops
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.protocol import GeneratorNet
from bozzetto.gan.stylegan3 import Generator3

SOURCE = "import os\nos._exit(13)\n"
BUFFERS = {
    "noise_const",
    "w_avg",
    "resample_filter",
    "freqs",
    "phases",
    "transform",
    "magnitude_ema",
    "up_filter",
    "down_filter",
}


class EasyDict(dict):
    """A dict of a class of its own."""


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("nobody calls this")


class Persistent(nn.Module):
    """A module that pickles like NVIDIA's."""

    def __init__(self, class_name: str, **kwargs: Any) -> None:
        super().__init__()
        self._init_args: tuple[Any, ...] = ()
        self._init_kwargs = EasyDict(kwargs)
        object.__setattr__(self, "class_name", class_name)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {k: v for k, v in self.__dict__.items() if k != "class_name"}
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name, "state": state}
        return _reconstruct_persistent_obj, (meta,)


@contextmanager
def official_modules() -> Iterator[None]:
    """Modules of NVIDIA's names, as pickle looks them up."""
    places = {
        "torch_utils.persistence": _reconstruct_persistent_obj,
        "dnnlib.util": EasyDict,
        "dnnlib.tflib.network": Network,
    }
    packages = {"torch_utils", "dnnlib", "dnnlib.tflib", *places}
    before = {name: sys.modules[name] for name in packages & sys.modules.keys()}
    sys.modules.update({name: types.ModuleType(name) for name in packages})
    try:
        for name, thing in places.items():
            setattr(sys.modules[name], thing.__name__, thing)
            thing.__module__ = name
        yield
    finally:
        for thing in places.values():
            thing.__module__ = __name__
        for name in packages:
            del sys.modules[name]
        sys.modules.update(before)


def module_tree(class_name: str, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Persistent:
    """A network of modules from its state dict."""
    root = Persistent(class_name, **settings)
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        module = root
        for step in path:
            if step not in module._modules:
                module.add_module(step, Persistent(f"Module of {step}"))
            module = module._modules[step]
        if last in BUFFERS:
            module.register_buffer(last, tensor)
        else:
            module.register_parameter(last, nn.Parameter(tensor))
    return root


def set_everywhere(root: nn.Module, owner_of: str, **attributes: Any) -> None:
    """Attributes for every module that has a tensor of this name."""
    for module in root.modules():
        if owner_of in module._parameters or owner_of in module._buffers:
            vars(module).update(attributes)


def generator2(g: GeneratorNet, w_avg: Tensor, attributes: bool = True, **settings: Any) -> Persistent:
    """StyleGAN2-ADA's generator. attributes: modules keep what they were given, as they do."""
    spec = g.spec
    tensors = names.from_ours(g.state_dict(), names_nvlabs.generator_rows(spec))
    resample = ops.blur_kernel()
    for row in list(tensors):
        if row.endswith("noise_const"):
            tensors[row.replace("noise_const", "resample_filter")] = resample
    for size in spec.resolutions:
        tensors[f"synthesis.b{size}.resample_filter"] = resample
        if f"synthesis.b{size}.skip.weight" in tensors:
            tensors[f"synthesis.b{size}.skip.resample_filter"] = resample
    root = module_tree("Generator", tensors | {"mapping.w_avg": w_avg}, _common(spec) | settings)
    if attributes:
        _mapping_attributes(root, spec.mapping_lr_multiplier)
        set_everywhere(root, "noise_const", conv_clamp=spec.conv_clamp, activation="lrelu", act_gain=np.sqrt(2))
    return root


def discriminator(d: Discriminator, attributes: bool = True, **settings: Any) -> Persistent:
    """The discriminator of all of them."""
    spec = d.spec
    tensors = names.from_ours(d.state_dict(), names_nvlabs.discriminator_rows(spec))
    for name in list(tensors):
        layer = name.rpartition(".")[0]
        if name.endswith(".weight") and tensors[name].ndim == 4:
            tensors[f"{layer}.resample_filter"] = ops.blur_kernel()
            if not layer.startswith("b4"):
                tensors[f"{layer.partition('.')[0]}.resample_filter"] = ops.blur_kernel()
    root = module_tree("Discriminator", tensors, {"c_dim": spec.num_classes} | settings)
    deviation = Persistent("MinibatchStdLayer", group_size=spec.mbstd_group)
    root.b4.add_module("mbstd", deviation)
    if attributes:
        vars(deviation).update(group_size=spec.mbstd_group, num_channels=spec.mbstd_channels)
        set_everywhere(root, "resample_filter", conv_clamp=spec.discriminator_conv_clamp, activation="lrelu")
        _mapping_attributes(root, spec.cmap_lr_multiplier)
    return root


def generator3(g: Generator3, w_avg: Tensor, attributes: bool = True, **settings: Any) -> Persistent:
    """StyleGAN3's generator."""
    spec = g.spec
    tensors = names.from_ours(g.state_dict(), names_nvlabs.generator3_rows(spec))
    root = module_tree("Generator", tensors | {"mapping.w_avg": w_avg}, _common(spec) | settings)
    source = root.synthesis.input
    if attributes:
        root.synthesis.output_scale = spec.output_scale
        source.size = np.broadcast_to(np.asarray(spec.input_size), [2])
        source.sampling_rate, source.bandwidth = np.float64(spec.input_rate), np.float64(spec.input_bandwidth)
        _mapping_attributes(root, spec.mapping_lr_multiplier)
    for i, layer in enumerate(spec.layers):
        module = root.synthesis._modules[f"L{i}_{layer.out_size}_{layer.out_channels}"]
        for name in ("up_filter", "down_filter"):  # None where there is none, as in the original
            if name not in module._buffers:
                module.register_buffer(name, None)
        if not attributes:
            continue
        module.in_size, module.out_size = (np.broadcast_to(np.asarray(n), [2]) for n in (layer.in_size, layer.out_size))
        module.in_sampling_rate, module.out_sampling_rate = layer.in_rate, layer.out_rate
        module.tmp_sampling_rate, module.conv_kernel = layer.rate, layer.kernel
        module.in_cutoff, module.out_cutoff = np.float64(layer.in_cutoff), np.float64(layer.out_cutoff)
        module.in_half_width, module.out_half_width = layer.in_half_width, layer.out_half_width
        module.conv_clamp, module.is_torgb = layer.clamp, layer.is_rgb
        module.padding = [*layer.pad, *layer.pad]
    return root


def _common(spec: Any) -> dict[str, Any]:
    common = {"z_dim": spec.z_dim, "c_dim": spec.num_classes, "w_dim": spec.w_dim}
    return common | {"img_resolution": spec.resolution, "img_channels": 3}


def _mapping_attributes(root: nn.Module, lr_multiplier: float) -> None:
    for name, layer in getattr(root, "mapping", nn.Module()).named_children():
        if name.startswith("fc"):
            layer.activation, layer.bias_gain = "lrelu", lr_multiplier
            layer.weight_gain = np.float64(lr_multiplier) / np.sqrt(layer.weight.shape[1])


def dump(path: Path, value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Path:
    with official_modules(), path.open("wb") as file:
        pickle.dump(value, file, protocol=protocol)
    return path


def snapshot(g: Persistent, d: Persistent | None = None) -> dict[str, Any]:
    """What the training program writes."""
    data = EasyDict(class_name="training.dataset.ImageFolderDataset", path="/data.zip", use_labels=False)
    return {"training_set_kwargs": data, "G": g, "D": d, "G_ema": g, "augment_pipe": None}


# -- TensorFlow ------------------------------------------------------------------------------------------------------


class Network:
    """A network of TensorFlow's time."""

    def __init__(
        self, name: str, variables: dict[str, Any], settings: dict[str, Any], components: dict[str, Any]
    ) -> None:
        self.name, self.components = name, components
        self.variables, self.settings = variables, settings

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": 4,
            "name": self.name,
            "static_kwargs": EasyDict(self.settings),
            "components": EasyDict(self.components),
            "build_module_src": SOURCE,
            "build_func_name": "G_main",
            "variables": list(self.variables.items()),
        }


def networks(g: GeneratorNet, d: Discriminator, w_avg: Tensor) -> tuple[Network, Network, Network]:
    """(G, D, Gs) of a StyleGAN2 with the variables as TensorFlow stores them."""
    gs = Network("Gs", {"lod": np.float32(0), "dlatent_avg": w_avg.numpy()}, {"resolution": g.spec.resolution}, {})
    gs.components["synthesis"] = Network("G_synthesis", _synthesis(g), {"architecture": g.spec.generator_arch}, {})
    mapping: dict[str, Any] = {}
    for i, layer in enumerate(g.mapping.layers):
        _dense(mapping, f"Dense{i}", layer)
    gs.components["mapping"] = Network("G_mapping", mapping, {}, {})
    return (
        gs,
        Network("D", _discriminator(d), {"architecture": d.spec.discriminator_arch, "mbstd_group_size": 4}, {}),
        gs,
    )


def _array(x: Tensor) -> np.ndarray:
    return x.detach().numpy()


def _dense(out: dict[str, Any], name: str, layer: nn.Module) -> None:
    out[f"{name}/weight"], out[f"{name}/bias"] = _array(layer.weight).T.copy(), _array(layer.bias)


def _hwio(weight: Tensor, turned: bool = False) -> np.ndarray:
    """out, in, height, width -> height, width, in, out; turned by half a turn."""
    array = np.moveaxis(_array(weight), (0, 1), (3, 2))
    return np.ascontiguousarray(array[::-1, ::-1] if turned else array)


def _synthesis(g: GeneratorNet) -> dict[str, Any]:
    s, out = g.synthesis, {"4x4/Const/const": _array(g.synthesis.const)[None]}
    for i, layer in enumerate(s.layers):
        size = layer.noise.shape[-1]
        name = f"{size}x{size}/" + ("Conv" if i == 0 else "Conv0_up" if layer.up else "Conv1")
        out[f"{name}/weight"] = _hwio(layer.weight, turned=layer.up)
        out[f"{name}/bias"], out[f"{name}/noise_strength"] = _array(layer.bias), _array(layer.noise_strength)
        out[f"{name}/mod_weight"] = _array(layer.style.weight).T.copy()
        out[f"{name}/mod_bias"] = _array(layer.style.bias) - 1
        out[f"noise{i}"] = _array(layer.noise)
    for size, layer in s.to_rgb.items():
        name = f"{size}x{size}/ToRGB"
        out[f"{name}/weight"], out[f"{name}/bias"] = _hwio(layer.weight), _array(layer.bias)
        out[f"{name}/mod_weight"] = _array(layer.style.weight).T.copy()
        out[f"{name}/mod_bias"] = _array(layer.style.bias) - 1
    return out | {f"{size}x{size}/Skip/weight": _hwio(kernel) for size, kernel in s.residual.items()}


def _discriminator(d: Discriminator) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for size, layer in d.from_rgb.items():
        out[f"{size}x{size}/FromRGB/weight"], out[f"{size}x{size}/FromRGB/bias"] = (
            _hwio(layer.weight),
            _array(layer.bias),
        )
    for i, block in enumerate(d.blocks):
        size = d.spec.resolution >> i
        for name, layer in (("Conv0", block.conv1), ("Conv1_down", block.conv2)):
            out[f"{size}x{size}/{name}/weight"] = _hwio(layer.weight)
            out[f"{size}x{size}/{name}/bias"] = _array(layer.bias)
        if block.skip is not None:
            out[f"{size}x{size}/Skip/weight"] = _hwio(block.skip.weight)
    out["4x4/Conv/weight"], out["4x4/Conv/bias"] = _hwio(d.final_conv.weight), _array(d.final_conv.bias)
    _dense(out, "4x4/Dense0", d.final_linear)
    _dense(out, "Output", d.logit)
    return out
