"""What a joint training is asked for: its settings, and its photos as plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import GeneralConfig
from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.training.images import load_images
from bozzetto.ingredients import Plan
from bozzetto.method.joint import JointEvent
from bozzetto.pipeline import plan
from bozzetto.presets import find_general_preset
from bozzetto.processes import place

NEEDS = "a general model with the photos that it holds out"


@dataclass(frozen=True)
class GeneralJob:
    """One joint training."""

    out: Path  # .safetensors; ingredients, samples, log and state go to the folder beside it that ends in .training
    source: Path | None = None  # folder or tar of photos, framed as the generator's; None: the generator's own pictures
    gan: str | Gan = "heads"
    preset: str = "general-quick"
    config: GeneralConfig | None = None  # instead of the preset's
    photos: int = 192  # of the source at most; or how many pictures the generator draws
    psi: float = 0.85  # truncation of the pictures that the generator draws
    validate: Path | None = None  # rendered heads with true depth: a folder of make-heads, or packed ones
    held: int = 16  # photos that are validated on; without --validate they are taken from the others
    mask: str = "auto"
    prior: str | None = None
    inversion: InvertConfig = field(default_factory=InvertConfig)  # how photos' latents are found
    category: str | None = None
    name: str | None = None  # what the model is called; the file's name if not given
    licence: str = "unknown"  # of the model
    keep_offset: bool = True  # store E too
    keep_albedo: bool = True  # store A too
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resume: bool = False
    overwrite: bool = False

    @property
    def settings(self) -> GeneralConfig:
        """What is trained, the prior's shape included."""
        config = self.config or find_general_preset(self.preset)
        if self.prior is None:
            return config
        return replace(config, fit=replace(config.fit, prior=replace(config.fit.prior, shape=self.prior)))


@runtime_checkable
class GeneralProgress(Protocol):
    """Hears how a training goes."""

    def on_note(self, text: str) -> None: ...

    def on_gathered(self, what: str, done: int, total: int) -> None: ...

    def on_iteration(self, event: JointEvent) -> None: ...

    def on_validation(self, epoch: int, scores: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class Source:
    """Photos with their latents, where these are known."""

    images: Float[Tensor, "n 3 s s"]  # [0, 1]
    latents: Float[Tensor, "n l d"] | None = None


def photos_of(job: GeneralJob, gan: Gan, progress: GeneralProgress) -> tuple[Source, Source, list[str]]:
    """Photos to train on, photos held out for validation (none where there is a truth), and the first ones' names."""
    held = 0 if job.validate is not None else job.held
    if job.source is None:
        with torch.no_grad():
            w = gan.w_from_z(gan.z_samples(job.photos + held, job.seed), job.psi)
            images = [(gan.image_from_w(part) / 2 + 0.5).clamp(0, 1).cpu() for part in w.split(32)]
        whole = Source(torch.cat(images), w.cpu())
        names = [f"picture {i}" for i in range(job.photos)]
    else:
        chief = place()[0] == 0
        on_bad = progress.on_note if chief else None
        pictures = load_images(
            job.source, gan.info.resolution, job.photos + held, on_bad=on_bad, least=held + 2, needs=NEEDS
        )
        whole = Source(pictures.float() / 255)
        names = [f"photo {i}" for i in range(len(pictures) - held)]
    if len(names) < 2:
        raise InputError(f"{len(names)} photos are too few for a general model; give more, or hold out fewer.")
    cut = len(names)
    latents = (None, None) if whole.latents is None else (whole.latents[:cut], whole.latents[cut:])
    return Source(whole.images[:cut], latents[0]), Source(whole.images[cut:], latents[1]), names


def plans_of(job: GeneralJob, config: GeneralConfig, gan: Gan, photos: Source, names: Sequence[str]) -> list[Plan]:
    first: Plan | None = None
    plans = []
    for i, name in enumerate(names):
        latent = None if photos.latents is None else photos.latents[i]
        made = plan(
            photos.images[i],
            gan,
            mask=job.mask,
            latent=latent,
            seed=job.seed,
            config=config.fit,
            category=job.category,
            inversion=job.inversion,
            crop="none",
        )
        first = first or made
        plans.append(replace(made, gan=first.gan, picture=replace(made.picture, name=name)))
    return plans
