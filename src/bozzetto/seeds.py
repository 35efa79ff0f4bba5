"""Randomness that is a function of a few whole numbers."""

from __future__ import annotations

import numpy as np
import torch


def seeded(*key: int) -> torch.Generator:
    """A generator on the CPU that is a function of these whole numbers alone: the same in every process and session."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))
