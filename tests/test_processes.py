"""Memory that a training keeps, and numbers that it does not."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from bozzetto.processes import without_denormals

FAULTS = """
import resource, sys, torch
from bozzetto.processes import hold_memory
held = hold_memory() if sys.argv[1] == "hold" else None
torch.set_num_threads(1)
def step():
    for megabytes in (48, 64, 80):
        torch.ones(megabytes, 2**18).sum()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(held, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc on Linux")
def test_held_memory_is_not_asked_for_again() -> None:
    """Ten rounds of 192 MB: handed back and asked for again they are 49,152 pages of 4 kB a round (or huge ones)."""
    told = {}
    for how in ("hold", "as it is"):
        found = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        told[how] = found.stdout.split()
    assert told["hold"][0] == "True"
    assert int(told["hold"][1]) * 4 < int(told["as it is"][1])


def test_numbers_below_the_normal_ones_are_0_inside_and_themselves_outside() -> None:
    tiny = torch.full((4,), 2.0**-126)
    with without_denormals() as can:
        if not can:
            pytest.skip("this CPU keeps them")
        assert (tiny / 4).tolist() == [0.0] * 4
        assert (tiny * 1.5).tolist() == [1.5 * 2.0**-126] * 4
        with without_denormals():
            pass
        assert (tiny / 4).tolist() == [0.0] * 4  # as it was
    assert (tiny / 4).tolist() == [2.0**-128] * 4
