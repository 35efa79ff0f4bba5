"""A general model whose albedo network is a thinner one that was taught what the wider one sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import check_writable
from bozzetto.gan.zoo import load_gan
from bozzetto.general_model import GeneralFacts, load_general, save_general
from bozzetto.keep import CountProgress
from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.blocks import initialise
from bozzetto.nets.networks import Networks
from bozzetto.seeds import check_seed

BATCH = 16
LEARNING_RATE = 1e-3
MAX_PICTURES, MAX_STEPS = 100_000, 1_000_000


@dataclass(frozen=True)
class SlimJob:
    """What is made thinner, and how."""

    general: str  # a built-in general model's name, or a file
    out: Path  # the .safetensors file
    gan: str | None = None  # its teacher; the built-in generator of the model's name if not given
    albedo_width: float = 0.125  # of the new A against the papers' tables
    pictures: int = 1024  # of the teacher, that A is taught on
    psi: float = 0.9  # truncation of them
    steps: int = 800  # of 16 pictures
    seed: int = 0
    overwrite: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def slim_general(job: SlimJob, progress: CountProgress) -> Path:
    """Teach a thinner A on the teacher's pictures and their mirror images; every other network stays bit for bit.

    Raises:
        InputError: the settings make no sense, the model has no A or its A is no wider, or it is of another teacher.
        OutputError: the file is there already, or cannot be written.
        CheckpointError: a file cannot be loaded.
    """
    _check(job)
    if job.out.exists() and not job.overwrite:
        raise OutputError(f"There is a file {job.out} already; say --overwrite to replace it.")
    check_writable(job.out)
    model = load_general(job.general, job.device)
    facts, gan = model.facts, load_gan(job.gan or model.facts.generator_name, job.device)
    _check_model(facts, job, gan.info.sha256)
    with torch.no_grad():
        drawn = [gan.image_from_w(gan.w_from_z(z, job.psi)).clamp(-1, 1) for z in gan.z_samples(job.pictures).split(32)]
    pictures = torch.cat(drawn)
    generator = torch.Generator().manual_seed(job.seed)
    thin = Autoencoder(facts.size, 3, nn.Tanh(), job.albedo_width)
    initialise(thin, generator)
    thin.to(job.device)
    imitate(thin, model.networks.albedo, pictures, job.steps, generator, progress)
    nets: Networks = replace(model.networks, albedo=thin)
    save_general(job.out, nets, replace(facts, albedo_width=job.albedo_width))
    return job.out


def imitate(
    thin: nn.Module,
    wide: nn.Module,
    pictures: Float[Tensor, "n 3 s s"],
    steps: int,
    generator: torch.Generator,
    progress: CountProgress,
) -> None:
    """Teach `thin` in place to give what `wide` gives for pictures in [-1, 1], by the mean absolute difference.

    generator: on the CPU; draws the batches, every other one mirrored.
    """
    optimiser = torch.optim.Adam(thin.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        drawn = torch.randint(len(pictures), (BATCH,), generator=generator).to(pictures.device)
        batch = pictures[drawn].flip(3) if step % 2 else pictures[drawn]
        with torch.no_grad():
            wanted = wide(batch)
        loss = F.l1_loss(thin(batch), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            progress.on_count("albedo network", step + 1, steps, float(loss.detach()))


def _check(job: SlimJob) -> None:
    check_seed(job.seed)
    for name, most in (("pictures", MAX_PICTURES), ("steps", MAX_STEPS)):
        if not 1 <= getattr(job, name) <= most:
            raise InputError(f"--{name} must be 1 to {most}, not {getattr(job, name)}.")
    if not (math.isfinite(job.psi) and 0 < job.psi <= 2):
        raise InputError(f"--psi must be above 0 and 2 at most, not {job.psi}.")
    if not (math.isfinite(job.albedo_width) and job.albedo_width > 0):
        raise InputError(f"--albedo-width must be above 0, not {job.albedo_width}.")
    if job.out.suffix.lower() != ".safetensors":
        raise InputError(f"What is written is a .safetensors file, and {job.out.name} is named otherwise.")


def _check_model(facts: GeneralFacts, job: SlimJob, teacher: str) -> None:
    if not facts.albedo:
        raise InputError(f"The general model '{facts.name}' has no albedo network that could be made thinner.")
    width = facts.width if facts.albedo_width is None else facts.albedo_width
    if job.albedo_width >= width:
        raise InputError(f"The albedo network of '{facts.name}' has width {width:g}; --albedo-width must be below.")
    if facts.generator_sha256 != teacher:
        raise InputError(
            f"The general model '{facts.name}' was taught by another generator, '{facts.generator_name}'; say --gan."
        )
