"""Randomness that is a function of a few whole numbers."""

from __future__ import annotations

import numpy as np
import torch

from bozzetto.errors import InputError


def seeded(*key: int) -> torch.Generator:
    """A generator on the CPU that is a function of these whole numbers alone: the same in every process and session."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def check_seed(seed: int) -> None:
    """Raise InputError for a seed that random generators cannot take."""
    if not 0 <= seed < 2**63:
        raise InputError(f"The seed cannot be {seed}; give a whole number from 0 to 2^63 - 1.")
