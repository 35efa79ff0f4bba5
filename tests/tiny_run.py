"""A reconstruction that takes a second: a 16 px generator with random weights, and a few iterations of every step."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent / "gan"))

from tiny_gan import tiny_networks, tiny_spec

from bozzetto.config import FitConfig, NetConfig, PriorConfig, ProjectConfig, Stage
from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.invert import InvertConfig
from bozzetto.method.instance import Event

SIZE = 16
CONFIG = FitConfig(
    stages=(Stage(2, 2, 2, samples=2, mirror=True, mirror_albedo=True), Stage(1, 2, 2, samples=3)),
    project=ProjectConfig(collect_batches=2),
    prior=PriorConfig(iterations=3, threshold=0.0),
    nets=NetConfig(width=0.25),
)

# Random weights make no picture of a photo.
INVERSION = InvertConfig(steps=3, start_samples=64, poor_db=0.0, hopeless_db=0.0)


def write_gan(path: Path, seed: int = 3) -> Path:
    save_safetensors(path, *tiny_networks(tiny_spec(SIZE), seed), {"name": "tiny"}, torch.float32)
    return path


def photo(seed: int = 5) -> Tensor:
    """A bright disc with some texture on dark ground, [3, 16, 16]."""
    ticks = torch.linspace(-1, 1, SIZE)
    disc = (ticks[:, None] ** 2 + ticks[None] ** 2 < 0.6).float()
    noise = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return 0.1 + disc * (0.5 + 0.3 * noise)


class Interrupter:
    """A progress that sends this very process an interrupt when a condition holds."""

    def __init__(
        self,
        at_iteration: Callable[[Event], bool] = lambda event: False,
        at_inversion: Callable[[int], bool] = lambda done: False,
        number: int = signal.SIGINT,
    ) -> None:
        self.at_iteration, self.at_inversion, self.number = at_iteration, at_inversion, number
        self.notes: list[str] = []
        self.done: list[int] = []
        self.inverted = 0

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_inversion(self, done: int, total: int, terms: Mapping[str, float]) -> None:
        self.inverted += 1
        if self.at_inversion(done):
            os.kill(os.getpid(), self.number)

    def on_iteration(self, event: Event) -> None:
        self.done.append(event.done)
        if self.at_iteration(event):
            os.kill(os.getpid(), self.number)


def same_files(a: Path, b: Path, *names: str) -> bool:
    """Whether the files of these names hold the same bytes in both folders."""
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in names)
