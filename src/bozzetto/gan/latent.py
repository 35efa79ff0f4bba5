"""Latents on disk: read the usual forms safely, write one."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bozzetto.disk import DAMAGED, clear, put_in_place, require_plain
from bozzetto.disk import temporary as temporary_name
from bozzetto.errors import InputError, OutputError
from bozzetto.gan.generator import GanInfo

KEY = "latent"
MAX_BYTES = 100_000_000  # projector files carry noise maps beside the latent; none is larger than this


def read_latent(path: Path, info: GanInfo) -> Float[Tensor, "l d"]:
    """One latent w for every layer of the generator, float32 on the CPU.

    Reads .pt (a tensor, a dict with 'latent', or a projector's dict of one such dict a picture; nothing but tensors is
    ever unpickled), .npy, .npz with 'latent', and .safetensors, holding [d], [1, d], [L, d] or [1, L, d].
    Raises InputError for anything else, for a latent of another generator's shape, and for values that are not finite.
    """
    value = _read(path)
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise InputError(f"The file {path.name} holds no latent: a tensor of floating-point numbers is needed.")
    latent = value.detach().float()
    shape = list(latent.shape)
    if latent.ndim == 3 and latent.shape[0] == 1:
        latent = latent[0]
    if latent.ndim == 1:
        latent = latent[None]
    if latent.ndim != 2 or latent.shape[1] != info.w_dim or latent.shape[0] not in (1, info.num_ws):
        raise InputError(
            f"The latent in {path.name} has shape {shape}, and the generator '{info.name}' needs [{info.w_dim}] or "
            f"[{info.num_ws}, {info.w_dim}], with or without a leading 1."
        )
    if not bool(latent.isfinite().all()):
        raise InputError(f"The latent in {path.name} has values that are not finite numbers; make it again.")
    return latent.expand(info.num_ws, -1).contiguous()


def save_latent(
    path: Path, w: Float[Tensor, "l d"], info: GanInfo, noises: Sequence[Float[Tensor, "1 1 _ _"]] | None = None
) -> None:
    """Write a latent as safetensors, with the generator's name and SHA-256; the file appears whole or not at all.

    noises: maps that belong to it (space w+noise), one a layer, kept as noise0, noise1, ...; `read_latent` leaves them.
    Raises OutputError.
    """
    temporary = temporary_name(path)
    metadata = {"generator": info.name, "generator_sha256": info.sha256}
    tensors = {KEY: w, **{f"noise{i}": noise for i, noise in enumerate(noises or ())}}
    try:
        whole = {name: value.detach().cpu().float().contiguous().clone() for name, value in tensors.items()}
        temporary.write_bytes(save(whole, metadata))
        put_in_place(temporary, path)
    except (SafetensorError, OSError) as error:
        raise OutputError(f"The latent cannot be written to {path} ({error}).") from None
    finally:
        clear([temporary])


def _read(path: Path) -> Any:
    readers = {".pt": _read_pt, ".pth": _read_pt, ".npy": _read_numpy, ".npz": _read_numpy, ".safetensors": _read_safe}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"Latents are read from {', '.join(readers)}, not from '{path.name}'.")
    try:
        if require_plain(path) > MAX_BYTES:
            raise InputError(f"The file {path.name} is too large to be a latent; check that it is the right one.")
        return reader(path)
    except OSError as error:
        raise InputError(f"The latent {path} cannot be read ({error.strerror or error}); check the path.") from None
    except DAMAGED:
        raise InputError(
            f"The file {path.name} is no latent that can be read safely; save the bare tensor with torch.save, or use "
            ".npy or .safetensors."
        ) from None


def _read_pt(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is refused below
        value = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(value, Mapping) and KEY not in value:  # a projector's file: picture name -> {'img', 'latent', ...}
        entries = [entry for entry in value.values() if isinstance(entry, Mapping) and KEY in entry]
        if len(entries) > 1:
            raise InputError(f"The file {path.name} holds {len(entries)} latents; save the one that is meant alone.")
        value = entries[0] if entries else None
    return value[KEY] if isinstance(value, Mapping) else value


def _read_numpy(path: Path) -> Any:
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as stored:
            if sum(entry.file_size for entry in stored.infolist()) > MAX_BYTES:
                raise InputError(
                    f"The file {path.name} unpacks to more than any latent; check that it is the right one."
                )
        with np.load(path, allow_pickle=False) as arrays:
            value = arrays[KEY]
    else:  # mapped: what a file only claims to hold is never allocated
        value = np.load(path, mmap_mode="r", allow_pickle=False)
    is_number = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return torch.from_numpy(value.astype(np.float32)) if is_number else None


def _read_safe(path: Path) -> Any:
    with safe_open(path, "pt") as file:
        keys = list(file.keys())
        if KEY not in keys and len(keys) != 1:
            return None
        return file.get_tensor(KEY if KEY in keys else keys[0])
