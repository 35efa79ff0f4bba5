"""What `import bozzetto` promises."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys

import pytest

import bozzetto
from bozzetto import errors


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, bozzetto; print(sorted(set(sys.modules) & {'torch', 'numpy', 'PIL', 'rich', 'tyro', 'numba'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed() -> None:
    for name in bozzetto.__all__:
        assert getattr(bozzetto, name) is not None
        assert name in dir(bozzetto)
    with pytest.raises(AttributeError, match="no attribute 'sculpt'"):
        bozzetto.sculpt  # noqa: B018


def test_every_error_a_user_can_cause_is_public() -> None:
    mine = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert mine <= set(bozzetto.__all__)
    assert all(issubclass(getattr(bozzetto, name), bozzetto.BozzettoError) for name in mine)


def test_the_signature_of_reconstruct() -> None:
    parameters = inspect.signature(bozzetto.reconstruct).parameters
    assert list(parameters)[:15] == [
        *("image", "gan", "preset", "mask", "latent", "prior", "seed", "device", "config", "category", "size"),
        *("out", "resume", "progress", "truth"),
    ]
    defaults = {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    assert (defaults["gan"], defaults["preset"], defaults["mask"], defaults["seed"]) == ("heads", "quick", "auto", 0)


def test_a_reconstruction_is_frozen_and_has_its_fields() -> None:
    fields = {field.name for field in dataclasses.fields(bozzetto.Reconstruction)}
    wanted = {"depth", "normal", "albedo", "shading", "view", "light", "mask", "latent", "image", "recon", "provenance"}
    assert wanted <= fields
    assert all(callable(getattr(bozzetto.Reconstruction, name)) for name in ("render", "save", "load"))
    assert bozzetto.Reconstruction.__dataclass_params__.frozen
