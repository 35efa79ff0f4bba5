"""Weight files that other Python packages carry, found and read without importing those packages.

Their modules would import torchvision and more; the numbers in them are all that is needed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from bozzetto.download import sha256_of
from bozzetto.errors import CheckpointError, MissingExtraError


def packaged_file(package: str, path: str, *, needed_by: str, install: str) -> Path:
    """Where an installed package keeps a file.

    Raises:
        MissingExtraError: the package is not installed, or has no such file; names the line that installs it.
    """
    spec = find_spec(package)  # of a top-level name: looks, does not import
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        if (Path(folder) / path).is_file():
            return Path(folder) / path
    raise MissingExtraError(f"The perceptual loss {needed_by!r} needs the package {package}: run `{install}`.")


def read_tensors(path: Path, sha256: str | None, *, remedy: str) -> dict[str, Tensor]:
    """A file of named tensors, on the CPU, held to its SHA-256 (where one is given) before anything in it is read.

    Raises CheckpointError if the file is another one, or cannot be read; `remedy` ends the sentence.
    """
    try:
        if sha256 is not None and sha256_of(path) != sha256:
            raise CheckpointError(f"The file {path.name} is damaged or of another version; {remedy}.")
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, UnpicklingError) as error:
        raise CheckpointError(f"The file {path.name} cannot be read ({type(error).__name__}); {remedy}.") from None
