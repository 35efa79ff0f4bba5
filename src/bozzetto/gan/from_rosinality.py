"""StyleGAN2 checkpoints under the names of the PyTorch version that most people use (rosinality), `.pt`.

Two kinds of file: converted ones ({"g_ema", "latent_avg"} and maybe "g", "d") and the training program's ({"g", "d",
"g_ema", "g_optim", "d_optim", "args", "ada_aug_p"}). GAN2Shape's published checkpoints are of the second kind. The
shape of the networks is read from the tensors alone; what `args` says has to agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan.checkpoint import LoadedGan, networks_from_rosinality
from bozzetto.gan.names import axis, count
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.restricted_pickle import Stub
from bozzetto.gan.spec import StyleGan2Spec

# Intended differences: what such a file may hold beside the generator and the discriminator, and why it is not loaded.
NOT_LOADED = {
    "g": "the generator's weights before averaging; pictures come from g_ema",
    "g_optim": "the optimiser's state",
    "d_optim": "the optimiser's state",
    "ada_aug_p": "probability of augmentation at that moment of training",
    "args": "the training program's arguments; compared with the tensors",
    "iter": "the training's iteration",
    "epoch": "the training's epoch",
}
LOADED = ("g_ema", "d", "latent_avg")

MAX_BLOCKS = 8  # of the largest size, 1024 px
State = dict[str, Tensor]


def is_rosinality(value: object) -> bool:
    """True for the content of such a file, or for the generator's state dict alone."""
    if not isinstance(value, dict):
        return False
    return "input.input" in _plain_names(value) or isinstance(value.get("g_ema", value.get("g")), dict)


def load_rosinality(value: dict[str, Any], file: str) -> LoadedGan:
    """Networks from the content of such a file (see `restricted_pickle`).

    Raises CheckpointError for a tensor too many, too few, of another shape or not finite, and for anything not known.
    """
    if "input.input" in _plain_names(value):
        value = {"g_ema": value}
    for key in value:
        if key not in NOT_LOADED and key not in LOADED:
            raise CheckpointError(f"The file {file} holds '{one_line(key, 60)}', which no StyleGAN2 checkpoint has.")
    part = "g_ema" if "g_ema" in value else "g"
    g = _state(value[part], part, file)
    d = _state(value["d"], "d", file) if "d" in value else None
    spec = spec_from_tensors(g, d, file)
    _compare_args(value.get("args"), spec, file)
    facts = {}
    if not any(name.startswith("noises.") for name in g):  # files of 2019: noise was always drawn
        g |= {f"noises.noise_{i}": torch.zeros(1, 1, s, s) for i, s in enumerate(_noise_sizes(spec))}
        facts["noise"] = "not stored; zero"
    w_avg = _w_avg(value.get("latent_avg"), spec, file)
    loaded = networks_from_rosinality(spec, g, d, facts)
    return LoadedGan(loaded.generator, loaded.discriminator, facts, w_avg)


def spec_from_tensors(g: Mapping[str, Tensor], d: Mapping[str, Tensor] | None, file: str) -> StyleGan2Spec:
    """The networks' shape, read from the tensors: sizes and layers by counting, channels and latents from shapes."""
    mapping = count(g, "style.{}.weight", start=1)
    blocks = count(g, "convs.{}.conv.weight") // 2
    if not mapping or not 0 < blocks <= MAX_BLOCKS:
        raise CheckpointError(f"The file {file} lacks the mapping or the convolutions of a StyleGAN2 generator.")
    sizes = [4 * 2**i for i in range(blocks + 1)]
    channels = {4: axis(g, "input.input", 1, file)}
    channels |= {size: axis(g, f"convs.{2 * i}.conv.weight", 1, file) for i, size in enumerate(sizes[1:])}
    channels_d = None
    if d is not None:
        down = min(count(d, "convs.{}.conv1.0.weight", start=1), MAX_BLOCKS + 1)
        if down != blocks:
            raise CheckpointError(
                f"The file {file} holds a generator of {sizes[-1]} pixels and a discriminator of {4 * 2**down}."
            )
        channels_d = {sizes[-1]: axis(d, "convs.0.0.weight", 0, file)}
        channels_d |= {size: axis(d, f"convs.{i + 1}.conv2.1.weight", 0, file) for i, size in enumerate(sizes[-2::-1])}
    return StyleGan2Spec(
        sizes[-1],
        channels,
        z_dim=axis(g, "style.1.weight", 1, file),
        w_dim=axis(g, "conv1.conv.modulation.weight", 1, file),
        num_mapping_layers=mapping,
        discriminator_channels=None if channels_d == channels else channels_d,
    )


def _state(value: object, part: str, file: str) -> State:
    """A state dict of tensors only, without the prefix that parallel training may have left."""
    if (
        not isinstance(value, dict)
        or not value
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    ):
        raise CheckpointError(f"The file {file} holds a '{part}' that is not a table of tensors (a state dict).")
    return _plain_names(value)


def _plain_names(value: Mapping[Any, Any]) -> dict[str, Any]:
    """The table without the "module." of parallel training, if every name has it; as it is otherwise."""
    names = [name if isinstance(name, str) else "" for name in value]
    if names and all(name.startswith("module.") for name in names):
        return {name.removeprefix("module."): tensor for name, tensor in value.items()}
    return dict(value)


def _noise_sizes(spec: StyleGan2Spec) -> Iterator[int]:
    yield 4
    for size in spec.resolutions[1:]:
        yield from (size, size)


def _w_avg(value: object, spec: StyleGan2Spec, file: str) -> Tensor | None:
    if value is None:
        return None
    if not isinstance(value, Tensor) or value.numel() != spec.w_dim or value.ndim > 2:
        raise CheckpointError(f"The file {file} stores a mean latent (latent_avg) of other than {spec.w_dim} numbers.")
    if not value.is_floating_point() or not bool(value.float().isfinite().all()):
        raise CheckpointError(f"The file {file} stores a mean latent (latent_avg) that is not finite; get it again.")
    return value.float().reshape(-1)


def _compare_args(args: object, spec: StyleGan2Spec, file: str) -> None:
    """`args` is not needed; where it names a number, that has to be the tensors'."""
    stated = args.state if isinstance(args, Stub) else args
    if not isinstance(stated, dict):
        return
    for name, number in (("size", spec.resolution), ("n_mlp", spec.num_mapping_layers), ("latent", spec.w_dim)):
        said = stated.get(name)
        if type(said) is int and said != number:
            raise CheckpointError(f"The file {file} says {name} = {said} where its tensors say {number}.")
