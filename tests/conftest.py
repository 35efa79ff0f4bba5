"""Turns on runtime checks of every annotated shape and type, for the tests only, before anything is imported."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import jaxtyping

SOURCE = Path(__file__).parent.parent / "src"

# Modules whose annotations are not checked, and why.
UNCHECKED = {
    "bozzetto.gan.pickle_machine": "checks each of its up to 400,000 steps itself",
    "bozzetto.gan.generator": "refuses latents of a wrong shape itself, in a sentence of its own",
}
# A compiler that reads the function's source or bytecode cannot read through a checking wrapper.
COMPILED = re.compile(r"^\s*(import|from) (numba|triton)\b", re.MULTILINE)


def _checked_modules() -> list[str]:
    names = []
    for path in sorted((SOURCE / "bozzetto").rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        # A package's own name would stand for all that is in it.
        if path.name != "__init__.py" and name not in UNCHECKED and not COMPILED.search(path.read_text("utf-8")):
            names.append(name)
    return names


jaxtyping.install_import_hook(_checked_modules(), "beartype.beartype")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from bozzetto.gan import Gan, GanInfo  # noqa: E402
from bozzetto.gan.discriminator import Discriminator  # noqa: E402
from bozzetto.gan.initialise import initialise  # noqa: E402
from bozzetto.gan.spec import StyleGan2Spec  # noqa: E402
from bozzetto.gan.stylegan2 import Generator  # noqa: E402
from browser import browser, page  # noqa: E402, F401  fixtures of every test

torch.set_num_threads(1)  # sums in one order, whatever the machine


@pytest.fixture(autouse=True)
def _same_global_seeds() -> None:
    """Nothing in the package draws from the global generators; tests that do get the same numbers every time."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture(scope="session")
def random_gan() -> Gan:
    """A StyleGAN2 of 16 px with random weights, every one of them at work, and pictures within [-1, 1]."""
    spec = StyleGan2Spec(16, {4: 12, 8: 10, 16: 8}, z_dim=8, w_dim=8, num_mapping_layers=4)
    rng = torch.Generator().manual_seed(0)
    nets = Generator(spec), Discriminator(spec)
    for net in nets:
        initialise(net, rng)
        for name, parameter in net.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                parameter.data += 0.2 * torch.randn(parameter.shape, generator=rng)
    for layer in nets[0].synthesis.to_rgb.values():
        layer.weight.data *= 0.15
    return Gan(*nets, GanInfo("random", "stylegan2", 16, 8, 8, spec.num_ws, 4, "MIT", "", "noise"))


def pytest_configure() -> None:
    """Hear SIGINT however the tests were started: a shell's background job inherits it as ignored.

    The program leaves an ignored signal ignored, on purpose; what is tested is what it does when it hears one.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
