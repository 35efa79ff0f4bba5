"""Predicted and measured peak memory of whole reconstructions, each in a process of its own.

The schedule is cut to a few iterations of every step, with a state saved after each: what a long run takes at its
peak, in seconds. On a CPU the peak is that of resident memory, on a graphics card that of torch's allocator.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from bozzetto import keep, pipeline
from bozzetto.bench.steps import find_gan, machine
from bozzetto.config import FitConfig
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.forecast import Forecast, fitted, gigabytes
from bozzetto.gan.invert import InvertConfig
from bozzetto.ingredients import Plan
from bozzetto.presets import find_preset
from bozzetto.results.provenance import versions

ITERATIONS = 2  # of every step
BATCHES = 4  # of samples, where they are drawn anew, and iterations of step 3, which could not see more


@dataclass(frozen=True)
class MemoryConfig:
    """Every combination is measured."""

    sizes: tuple[int, ...] = (64,)  # pixels; 64 takes the built-in generator, others one of the same kind
    presets: tuple[str, ...] = ("quick", "pan-face")
    np: tuple[int, ...] = (4, 16)  # pseudo views and lights an iteration
    chunks: tuple[int, ...] = (0, 1)  # of these held at once; 0: all
    limit_mb: float | None = None  # as --max-memory: the chunk that keeps to it, in place of `chunks`
    device: str = "cpu"


@dataclass(frozen=True)
class Cell:
    """One run."""

    size: int
    preset: str
    np: int
    chunk: int
    limit_mb: float | None
    device: str


def measure_memory(config: MemoryConfig, on_cell: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Run every combination.

    Returns:
        rows: size, preset, np, chunk, phase (of the predicted peak), predicted_mb, measured_mb, ratio (predicted over
        measured), parts; and what they were measured on.

    Raises:
        InputError: an unknown preset, an impossible size, or a limit that the smallest chunks do not keep.
    """
    for preset in config.presets:
        find_preset(preset)
    if min((*config.np, 1)) < 1 or min((*config.chunks, 0)) < 0:
        raise InputError("Memory is measured with an Np of 1 at least and chunks of 0 (all) or more.")
    chunks = config.chunks if config.limit_mb is None else (0,)
    cells = [
        Cell(*row, config.limit_mb, config.device) for row in product(config.sizes, config.presets, config.np, chunks)
    ]
    rows = []
    for cell in cells:
        if cell.chunk and cell.chunk >= cell.np:
            continue  # the same as all at once
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measured, (cell,)))
        if on_cell is not None:
            on_cell(rows[-1])
    return {"rows": rows, "machine": machine(config.device), "versions": versions(), "settings": asdict(config)}


def short(config: FitConfig, samples: int, chunk: int) -> FitConfig:
    """The preset's first stage, a few iterations of each step."""
    n = ITERATIONS
    stage = replace(config.stages[0], albedo=n, project=n, factorise=BATCHES, samples=samples, repeat=1)
    prior = replace(config.prior, iterations=min(n, config.prior.iterations), threshold=0.0)
    return replace(
        config,
        stages=(stage,),
        prior=prior,
        project=replace(config.project, collect_batches=BATCHES),
        turn=replace(config.turn, iterations=n),
        compute=replace(config.compute, chunk=chunk),
    )


def plan_of(cell: Cell) -> Plan:
    """The short run of a combination, on a picture of noise."""
    config = short(find_preset(cell.preset), cell.np, cell.chunk)
    gan = find_gan(cell.size, find_device(cell.device))
    image = torch.rand(3, cell.size, cell.size, generator=torch.Generator().manual_seed(0))
    inversion = InvertConfig(steps=ITERATIONS, hopeless_db=0.0)  # noise is like no picture
    job = pipeline.plan(
        image, gan, config=config, mask="none", category="heads", crop="none", inversion=inversion, device=cell.device
    )
    return job if cell.limit_mb is None else fitted(job, cell.limit_mb * 1e6)


def measured(cell: Cell) -> dict[str, Any]:
    """One combination, in the process that calls."""
    keep.SAVE_EVERY_S, keep.SAVE_SHARE = 0.0, 1e9  # a state after every iteration
    job = plan_of(cell)
    peak = Forecast(job).peak()
    with tempfile.TemporaryDirectory() as folder:
        pipeline.run(job, Path(folder) / "result", formats=("png", "sheet", "viewer", "glb"))
    found = peak_bytes(job.gan.device)
    return {
        **{name: getattr(cell, name) for name in ("size", "preset", "np")},
        "chunk": job.config.compute.chunk,
        "limit_mb": cell.limit_mb,
        "phase": peak.phase,
        "predicted_mb": round(peak.total / 1e6),
        "measured_mb": round(found / 1e6),
        "ratio": round(peak.total / found, 3),
        "parts": {name: round(size / 1e6) for name, size in peak.parts.items()},
        "told": gigabytes(peak.total),
    }


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process, or torch on its graphics card, has held. Raises InputError on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        raise InputError("The peak of resident memory cannot be read on this system; measure on Linux.") from None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
