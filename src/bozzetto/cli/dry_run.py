"""What a reconstruction would do, in words."""

from __future__ import annotations

from pathlib import Path

from bozzetto.cli.complain import printable
from bozzetto.forecast import Forecast, gigabytes
from bozzetto.ingredients import Plan
from bozzetto.method.schedule import Phase, phases
from bozzetto.priors.registry import find_prior


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
        f"memory     {_memory(job)}",
        f"result     {printable(str(folder))}",
    ]
    return "\n".join(lines)


def _phase(row: Phase) -> str:
    most = "at most " if row.kind == "prior" else ""
    extra = "" if row.kind in ("prior", "albedo") or row.samples == 0 else f", {row.samples} samples"
    mirror = ", mirrored too" if row.mirror else ""
    return f"{row.title}: {most}{row.iterations} iterations{extra}{mirror}"


def _memory(job: Plan) -> str:
    """The peak, where it is, what it is made of, and how many samples are held at once."""
    peak, compute = Forecast(job).peak(), job.config.compute
    parts = sorted(peak.parts.items(), key=lambda part: -part[1])
    told = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in parts if size >= 0.5e6)
    chunk = f"; {compute.chunk} sample{'s' * (compute.chunk > 1)} at a time" if compute.chunk else ""
    return f"about {gigabytes(peak.total)}, in {peak.phase} ({told}){chunk}"
