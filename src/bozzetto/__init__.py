"""One photo in, a textured 3D object out that can be turned and relit, taught by a pre-trained 2D GAN alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bozzetto.config import FitConfig, Stage
    from bozzetto.errors import (
        BozzettoError,
        CheckpointError,
        FitError,
        InputError,
        MissingExtraError,
        OutputError,
    )
    from bozzetto.gan.generator import Gan
    from bozzetto.gan.invert import InvertConfig
    from bozzetto.gan.zoo import load_gan
    from bozzetto.metrics.truth import Truth
    from bozzetto.pipeline import reconstruct
    from bozzetto.presets import PRESETS
    from bozzetto.results import Reconstruction

__version__ = "0.1.0"

# Public name -> the module it lives in. Looked up at first use, so that `import bozzetto` itself loads nothing.
_HOMES = {
    "reconstruct": "bozzetto.pipeline",
    "Reconstruction": "bozzetto.results",
    "load_gan": "bozzetto.gan.zoo",
    "Gan": "bozzetto.gan.generator",
    "FitConfig": "bozzetto.config",
    "Stage": "bozzetto.config",
    "InvertConfig": "bozzetto.gan.invert",
    "PRESETS": "bozzetto.presets",
    "Truth": "bozzetto.metrics.truth",
    **dict.fromkeys(
        ("BozzettoError", "InputError", "CheckpointError", "MissingExtraError", "OutputError", "FitError"),
        "bozzetto.errors",
    ),
}

__all__ = [
    "PRESETS",
    "BozzettoError",
    "CheckpointError",
    "FitConfig",
    "FitError",
    "Gan",
    "InputError",
    "InvertConfig",
    "MissingExtraError",
    "OutputError",
    "Reconstruction",
    "Stage",
    "Truth",
    "__version__",
    "load_gan",
    "reconstruct",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bozzetto' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
