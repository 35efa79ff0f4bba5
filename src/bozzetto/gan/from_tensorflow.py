"""StyleGAN2 checkpoints of the TensorFlow era, `.pkl`: a tuple (G, D, Gs) of `dnnlib.tflib.network.Network`.

Understood are StyleGAN2's configurations E and F and StyleGAN2-ADA's; their variables are renamed to what NVIDIA's
PyTorch version calls them and go the same way from there.

Intended differences: TensorFlow stores convolutions as height, width, in, out, and matrices as in, out; the upsampling
convolution is stored the other way round (half a turn); style biases are stored less 1; noise maps have leading axes
of 1. `lod` (the level of progressive growing) and G (the generator before averaging) are not loaded.
"""

# ruff: noqa: SIM905
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan.checkpoint import LoadedGan
from bozzetto.gan.from_nvlabs import networks_of
from bozzetto.gan.names import REPEATED_BYTES
from bozzetto.gan.persistent import as_dict, numbers, plain, tree, whole
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.restricted_pickle import Stub

OLDEST_VERSION = 4  # of the pickle format; networks before are ProGAN and StyleGAN

# Settings that the tensors tell, that only matter in training or in speed, or that are read below.
IRRELEVANT = frozenset(
    "latent_size dlatent_size label_size resolution fmap_base fmap_max fmap_decay fmap_min mapping_layers "
    "mapping_fmaps label_fmaps num_fp16_res w_avg_beta truncation_psi truncation_cutoff style_mixing_prob structure "
    "conditioning fused_modconv architecture use_noise mbstd_num_features mbstd_group_size freeze_layers "
    "mapping_lrmul conv_clamp".split()
)
# Settings that have to be what this program computes, where they are stated.
REQUIRED: Mapping[str, Any] = {
    "num_channels": 3,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "resample_kernel": [1, 3, 3, 1],
}

Array = np.ndarray
_CONV = (3, 2, 0, 1)  # height, width, in, out -> out, in, height, width


def _same(a: Array) -> Array:
    return a


def _matrix(a: Array) -> Array:
    return a.transpose()


def _conv(a: Array) -> Array:
    return a.transpose(_CONV)


def _turned_conv(a: Array) -> Array:
    return a[::-1, ::-1].transpose(_CONV)


def _plus_1(a: Array) -> Array:
    return a + 1


def _first(a: Array) -> Array:
    return a[0]


Rule = tuple[str, str, Callable[[Array], Array]]  # pattern of the TensorFlow name, PyTorch name, conversion

_SIZE = r"synthesis/(\d+)x\1"
GENERATOR_RULES: tuple[Rule, ...] = (
    (r"dlatent_avg", r"mapping.w_avg", _same),
    (r"mapping/LabelEmbed/weight", r"mapping.embed.weight", _matrix),
    (r"mapping/LabelEmbed/bias", r"mapping.embed.bias", _same),
    (r"mapping/Dense(\d+)/weight", r"mapping.fc\1.weight", _matrix),
    (r"mapping/Dense(\d+)/bias", r"mapping.fc\1.bias", _same),
    (r"synthesis/4x4/Const/const", r"synthesis.b4.const", _first),
    (_SIZE + r"/Conv1?/weight", r"synthesis.b\1.conv1.weight", _conv),
    (_SIZE + r"/Conv1?/(bias|noise_strength)", r"synthesis.b\1.conv1.\2", _same),
    (_SIZE + r"/Conv1?/mod_weight", r"synthesis.b\1.conv1.affine.weight", _matrix),
    (_SIZE + r"/Conv1?/mod_bias", r"synthesis.b\1.conv1.affine.bias", _plus_1),
    (_SIZE + r"/Conv0_up/weight", r"synthesis.b\1.conv0.weight", _turned_conv),
    (_SIZE + r"/Conv0_up/(bias|noise_strength)", r"synthesis.b\1.conv0.\2", _same),
    (_SIZE + r"/Conv0_up/mod_weight", r"synthesis.b\1.conv0.affine.weight", _matrix),
    (_SIZE + r"/Conv0_up/mod_bias", r"synthesis.b\1.conv0.affine.bias", _plus_1),
    (_SIZE + r"/ToRGB/weight", r"synthesis.b\1.torgb.weight", _conv),
    (_SIZE + r"/ToRGB/bias", r"synthesis.b\1.torgb.bias", _same),
    (_SIZE + r"/ToRGB/mod_weight", r"synthesis.b\1.torgb.affine.weight", _matrix),
    (_SIZE + r"/ToRGB/mod_bias", r"synthesis.b\1.torgb.affine.bias", _plus_1),
    (_SIZE + r"/Skip/weight", r"synthesis.b\1.skip.weight", _turned_conv),
)
DISCRIMINATOR_RULES: tuple[Rule, ...] = (
    (r"(\d+)x\1/FromRGB/weight", r"b\1.fromrgb.weight", _conv),
    (r"(\d+)x\1/FromRGB/bias", r"b\1.fromrgb.bias", _same),
    (r"(\d+)x\1/Conv0/weight", r"b\1.conv0.weight", _conv),
    (r"(\d+)x\1/Conv0/bias", r"b\1.conv0.bias", _same),
    (r"(\d+)x\1/Conv1_down/weight", r"b\1.conv1.weight", _conv),
    (r"(\d+)x\1/Conv1_down/bias", r"b\1.conv1.bias", _same),
    (r"(\d+)x\1/Skip/weight", r"b\1.skip.weight", _conv),
    (r"LabelEmbed/weight", r"mapping.embed.weight", _matrix),
    (r"LabelEmbed/bias", r"mapping.embed.bias", _same),
    (r"Mapping(\d+)/weight", r"mapping.fc\1.weight", _matrix),
    (r"Mapping(\d+)/bias", r"mapping.fc\1.bias", _same),
    (r"4x4/Conv/weight", r"b4.conv.weight", _conv),
    (r"4x4/Conv/bias", r"b4.conv.bias", _same),
    (r"4x4/Dense0/weight", r"b4.fc.weight", _matrix),
    (r"4x4/Dense0/bias", r"b4.fc.bias", _same),
    (r"Output/weight", r"b4.out.weight", _matrix),
    (r"Output/bias", r"b4.out.bias", _same),
)


def is_tensorflow(value: object) -> bool:
    """True for the content of such a file."""
    return isinstance(value, tuple | list) and len(value) == 3 and all(_is_network(net) for net in value)


def load_tensorflow(value: Any, file: str) -> LoadedGan:
    """Networks from the content of such a file (see `restricted_pickle`). Raises CheckpointError."""
    _, d, g = value
    g_settings, d_settings = (_settings(net, file) for net in (g, d))
    g_kwargs = {
        "synthesis_kwargs": {"conv_clamp": g_settings.get("conv_clamp")},
        "mapping_kwargs": {"lr_multiplier": g_settings.get("mapping_lrmul", 0.01)},
    }
    d_kwargs = {
        "conv_clamp": d_settings.get("conv_clamp"),
        "mapping_kwargs": {"lr_multiplier": d_settings.get("mapping_lrmul", 0.1)},
        "epilogue_kwargs": {"mbstd_group_size": d_settings.get("mbstd_group_size", 4)},
    }
    generator = tree("Generator", _renamed(g, GENERATOR_RULES, file), g_kwargs)
    discriminator = tree("Discriminator", _renamed(d, DISCRIMINATOR_RULES, file), d_kwargs)
    return networks_of(generator, discriminator, {}, file, demodulates_stored_weight=False)


def _is_network(value: object) -> bool:
    state = value.state if isinstance(value, Stub) and value.name == "Network" else None
    return isinstance(state, dict) and "variables" in state


def _settings(net: Stub, file: str) -> dict[str, Any]:
    """What the network was built with. Raises CheckpointError for what would compute something else."""
    version = whole(net.state.get("version"), "its version", file)
    if version < OLDEST_VERSION:
        raise CheckpointError(f"The file {file} is older than StyleGAN2 (version {version}); it cannot be loaded.")
    settings = as_dict(net.state.get("static_kwargs"))
    for name, value in settings.items():
        said = plain(value)
        said = numbers(said) if isinstance(said, list | tuple) else said
        fits = value is None or (isinstance(said, list | int | str) and said == REQUIRED.get(name))
        if name in REQUIRED and not fits:
            raise CheckpointError(
                f"The file {file} states {name} = {one_line(value, 40)}; only {REQUIRED[name]} is known."
            )
        if name not in REQUIRED and name not in IRRELEVANT:
            raise CheckpointError(f"The file {file} states a setting that is not known, '{one_line(name, 40)}'.")
    return settings


def _variables(net: Stub, file: str, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Name and values of every variable, those of components under the component's name."""
    variables = net.state["variables"]
    for pair in variables if isinstance(variables, list | tuple) else [None]:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise CheckpointError(f"The file {file} holds a list of variables that is none.")
        value = np.asarray(pair[1]) if isinstance(pair[1], Array | int | float) else None
        if value is None or value.dtype.kind not in "fiu":
            raise CheckpointError(f"The file {file} holds a variable '{one_line(pair[0], 60)}' without numbers.")
        yield prefix + pair[0], value
    for name, component in as_dict(net.state.get("components")).items():
        if not _is_network(component):
            raise CheckpointError(f"The file {file} holds a component '{one_line(name, 60)}' that is no network.")
        yield from _variables(component, file, f"{prefix}{name}/")


def _renamed(net: Stub, rules: tuple[Rule, ...], file: str) -> dict[str, Tensor]:
    """The variables as NVIDIA's PyTorch version calls and stores them."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    repeated = 0  # bytes; each variable becomes a copy of its own below
    for theirs, value in _variables(net, file):
        if theirs.rpartition("/")[2] == "lod":
            continue
        place = value.__array_interface__["data"][0]
        repeated += value.nbytes if place in seen else 0
        seen.add(place)
        if repeated > REPEATED_BYTES:
            raise CheckpointError(f"The file {file} holds the same numbers under many names; no checkpoint does.")
        try:
            ours, array = _rule(theirs, value, rules)
        except (ValueError, IndexError):
            raise CheckpointError(
                f"The file {file} has a variable '{one_line(theirs, 60)}' of a wrong shape."
            ) from None
        if ours is None:
            raise CheckpointError(
                f"The file {file} has a variable '{one_line(theirs, 60)}' that StyleGAN2's configurations E and F lack."
            )
        tensors[ours] = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
    return tensors


def _rule(theirs: str, value: Array, rules: tuple[Rule, ...]) -> tuple[str | None, Array]:
    noise = re.fullmatch(r"synthesis/noise(\d{1,2})", theirs)
    if noise:  # 0 at 4x4, then two a size
        size, layer = 4 * 2 ** ((int(noise[1]) + 1) // 2), 1 - int(noise[1]) % 2
        return f"synthesis.b{size}.conv{layer}.noise_const", value[0, 0]
    for pattern, name, convert in rules:
        match = re.fullmatch(pattern, theirs)
        if match:
            return match.expand(name), convert(value)
    return None, value
