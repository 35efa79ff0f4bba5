"""Networks out of NVIDIA's pickles as plain records. Their source text is never looked at; the numbers speak.

Each module of such a network pickles as a call of `torch_utils.persistence._reconstruct_persistent_obj` with a dict of
`class_name`, `module_src` and `state`, its attributes: `_parameters`, `_buffers`, `_modules`, what its constructor was
given (`_init_kwargs`), and whatever it keeps (`conv_clamp`, `in_cutoff`, ...).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.restricted_pickle import Stub

RECONSTRUCT = "_reconstruct_persistent_obj"


@dataclass(frozen=True)
class Module:
    """A module of torch as a record."""

    class_name: str
    settings: Mapping[str, Any]  # what the constructor was given by name
    attributes: Mapping[str, Any]
    tensors: Mapping[str, Tensor]  # parameters and buffers of its own
    children: Mapping[str, Module]

    def flat(self, prefix: str = "") -> dict[str, Tensor]:
        """Every tensor by its name in the state dict."""
        found = {prefix + name: tensor for name, tensor in self.tensors.items()}
        for name, child in self.children.items():
            found |= child.flat(f"{prefix}{name}.")
        return found

    def child(self, path: str) -> Module | None:
        """The module at a dotted path."""
        module: Module | None = self
        for name in path.split("."):
            module = None if module is None else module.children.get(name)
        return module

    def kept(self, name: str, default: Any = None) -> Any:
        """What the module keeps under a name, or else was given, or else the default."""
        return plain(self.attributes.get(name, self.settings.get(name, default)))


def is_module(value: object) -> bool:
    """True for the record of a network of NVIDIA's."""
    return (
        isinstance(value, Stub) and value.name == RECONSTRUCT and bool(value.args) and isinstance(value.args[0], dict)
    )


def read_module(value: object, file: str) -> Module:
    """The record of a network and of everything in it. Raises CheckpointError for what is none."""
    if not isinstance(value, Stub):
        raise CheckpointError(f"The file {file} holds something that is no network where one belongs.")
    if is_module(value):
        meta = value.args[0]
        class_name, state = meta.get("class_name"), meta.get("state")
    else:  # one of torch's own
        class_name, state = value.name, value.state
    if not isinstance(class_name, str) or not isinstance(state, dict):
        raise CheckpointError(f"The file {file} holds a network without a class or a state; get it again.")
    tensors: dict[str, Tensor] = {}
    for part in ("_parameters", "_buffers"):
        for name, tensor in as_dict(state.get(part)).items():
            if isinstance(name, str) and isinstance(tensor, Tensor) and name not in tensors:
                tensors[name] = tensor
            elif tensor is not None:
                raise CheckpointError(f"The file {file} holds '{one_line(name, 60)}', which is no tensor, as one.")
    children = {str(k): read_module(v, file) for k, v in as_dict(state.get("_modules")).items() if v is not None}
    settings = as_dict(state.get("_init_kwargs"))
    return Module(class_name, settings, {k: v for k, v in state.items() if isinstance(k, str)}, tensors, children)


def tree(class_name: str, flat: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Module:
    """The record of a network of which only the state dict and the constructor's arguments are known."""
    own = {name: tensor for name, tensor in flat.items() if "." not in name}
    heads = dict.fromkeys(name.partition(".")[0] for name in flat if "." in name)
    children = {
        head: tree("", {n.partition(".")[2]: t for n, t in flat.items() if n.startswith(f"{head}.")}, {})
        for head in heads
    }
    return Module(class_name, settings, {}, own, children)


def as_dict(value: object) -> dict[Any, Any]:
    """A dict, or an object that is one (`dnnlib.EasyDict`); {} for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Stub) and not value.args:
        return value.items | (value.state if isinstance(value.state, dict) else {})
    return {}


def plain(value: object) -> Any:
    """Numbers and arrays of NumPy as Python's; everything else as it is."""
    if isinstance(value, np.ndarray) and value.size <= 16:
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def numbers(value: object) -> list[int | float] | None:
    """A list or tuple of a few numbers as a list; None for anything else."""
    if not isinstance(value, list | tuple) or len(value) > 16:
        return None
    return list(value) if all(type(one) in (int, float) for one in value) else None


def flag(value: object, what: str, file: str) -> bool:
    """True or False; 1 and 0 are as good. Raises CheckpointError."""
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise CheckpointError(f"The file {file} states {what} = {one_line(value, 60)}, which is neither true nor false.")


def number(value: object, what: str, file: str) -> float:
    """A finite number. Raises CheckpointError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise CheckpointError(f"The file {file} states {what} = {one_line(value, 60)}, which is not a number.")


def whole(value: object, what: str, file: str) -> int:
    """A whole number. Raises CheckpointError."""
    if number(value, what, file) == int(number(value, what, file)):
        return int(number(value, what, file))
    raise CheckpointError(f"The file {file} states {what} = {one_line(value, 60)}, which is not a whole number.")


def clamp_of(value: object, file: str) -> float | None:
    """A clamp; None where there is none. Raises CheckpointError."""
    return None if value is None else number(value, "conv_clamp", file)
