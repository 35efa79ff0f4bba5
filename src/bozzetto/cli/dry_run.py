"""What a reconstruction would do, in words."""

from __future__ import annotations

from pathlib import Path

import torch

from bozzetto.cli.complain import printable
from bozzetto.ingredients import Plan
from bozzetto.method.schedule import Phase, phases
from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.encoder import Encoder
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.priors.registry import find_prior

_BASE_MB = 850  # Python, torch, the compiled rasteriser, the inversion's start samples
_COPIES = 5  # of the networks: weights, gradients, two moments, one on its way to the disk
_BYTES_PER_PIXEL = 2000  # activations of one pseudo image, by measurement at 64 px


def describe(job: Plan, photo: Path, folder: Path) -> str:
    """Photo, generator, phases, memory and place of one planned run."""
    info, config = job.gan.info, job.config
    rows = phases(config, find_prior(config.prior.shape).has_shape)
    width, height = job.picture.original_size
    latent = "given" if job.latent is not None else "by inversion"
    if config.turn.use:
        latent += ", and the mirrored photo's by inversion"
    square = job.picture.square
    lines = [
        f"photo      {printable(str(photo))} ({width} x {height}, worked on at {info.resolution} x {info.resolution})",
        f"crop       {square.left},{square.top},{square.side} ({job.picture.how})",
        f"generator  {info.name} ({info.kind}, {info.resolution} px, {job.category}), on {job.gan.device}",
        f"mask       {job.mask}",
        f"latent     {latent}",
        f"prior      {config.prior.shape}",
        *(f"phase      {_phase(row)}" for row in rows),
        f"memory     about {memory_mb(job, rows) / 1000:.1f} GB",
        f"result     {printable(str(folder))}",
    ]
    return "\n".join(lines)


def _phase(row: Phase) -> str:
    most = "at most " if row.kind == "prior" else ""
    extra = "" if row.kind in ("prior", "albedo") else f", {row.samples} samples"
    mirror = ", mirrored too" if row.mirror else ""
    return f"{row.title}: {most}{row.iterations} iterations{extra}{mirror}"


def memory_mb(job: Plan, rows: tuple[Phase, ...]) -> float:
    """A rough estimate of the peak memory."""
    info = job.gan.info
    size, width = info.resolution, job.config.nets.width
    with torch.device("meta"):
        encoders = (Encoder(size, 6, width=width), Encoder(size, 4, width=width), OffsetEncoder(size, info.w_dim))
        decoders = (Autoencoder(size, 1, width=width), Autoencoder(size, 3, width=width))
    weights = sum(p.numel() for net in (*encoders, *decoders) for p in net.parameters())
    pixels = size**2
    samples = max((row.samples for row in rows), default=1)
    kept = max((row.iterations * row.samples for row in rows if row.kind == "collect"), default=0)
    parts = (weights * 4 * _COPIES, samples * pixels * _BYTES_PER_PIXEL, 2 * kept * pixels * 3 * 4)
    return _BASE_MB + sum(parts) / 1e6
