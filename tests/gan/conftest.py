"""Fixtures of the generator's tests."""

from __future__ import annotations

import pytest
import torch
from tiny_gan import tiny_gan

from bozzetto.gan import Gan, load_gan


@pytest.fixture
def gan() -> Gan:
    return tiny_gan()


@pytest.fixture(scope="session")
def heads() -> Gan:
    return load_gan("heads")


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(11)
