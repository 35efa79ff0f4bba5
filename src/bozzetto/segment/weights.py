"""Putting published weight files into the parsers' networks, strictly."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from bozzetto.errors import CheckpointError, InputError


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A file of named tensors, opened without running anything stored in it.

    Raises InputError if there is no such file, CheckpointError if it is anything but a dictionary of tensors.
    """
    if not path.is_file():
        raise InputError(f"There is no weight file {path}; check the path.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, OSError, KeyError) as error:
        raise CheckpointError(f"{path} is not a readable file of weights, or holds more than weights.") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{path} does not hold a plain dictionary of tensors.")
    return {str(name): value for name, value in state.items()}


def load_strictly(network: nn.Module, state: dict[str, Tensor], source: Path) -> None:
    """Every tensor of the network from the state, none missing, none left over, shapes equal.

    Only BatchNorm's counters, which inference does not read and old files do not have, may be missing.
    Raises CheckpointError that names the first differences.
    """
    own = network.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    missing = sorted(own.keys() - state.keys() - counters)
    unexpected = sorted(state.keys() - own.keys())
    reshaped = sorted(n for n in own.keys() & state.keys() if own[n].shape != state[n].shape)
    for what, names in (("lacks", missing), ("has unknown", unexpected), ("has other shapes for", reshaped)):
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise CheckpointError(f"{source} does not fit {type(network).__name__}: it {what} {listed}.")
    network.load_state_dict({name: state.get(name, own[name]) for name in own}, strict=True)
