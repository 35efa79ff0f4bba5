"""Where to compute."""

from __future__ import annotations

import torch

from bozzetto.errors import InputError


def find_device(device: str | torch.device) -> torch.device:
    """A device by name; "auto" is the GPU where there is one. Raises InputError."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"There is no device '{device}'; use auto, cpu or cuda.") from error
    if found.type not in ("cpu", "cuda"):
        raise InputError(f"The device '{device}' is not supported; use auto, cpu or cuda.")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InputError("No CUDA device is to be found; use --device cpu.")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"There is no device '{device}'; the last one is cuda:{torch.cuda.device_count() - 1}.")
    return found
