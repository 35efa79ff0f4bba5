"""Teach a small network to find the object in pictures of a generator's kind, from that generator alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import check_writable, make_folder
from bozzetto.export.images import grid, write_png
from bozzetto.gan.checkpoint import write_safetensors
from bozzetto.gan.generator import Gan
from bozzetto.gan.parts import activations_of, find_parts
from bozzetto.gan.start import at_once
from bozzetto.gan.zoo import load_gan
from bozzetto.keep import CountProgress
from bozzetto.seeds import check_seed
from bozzetto.segment.learned import LearnedSegmenter
from bozzetto.segment.mask_net import KIND, PX, MaskNet, fresh_net
from bozzetto.segment.regions import tidy
from bozzetto.segment.segmenter import OBJECT_LEVEL, mask_problem

BATCH = 32
LEARNING_RATE = 3e-3
SHOWN = 24  # pictures on the sheet
BACKDROP = (0.0, 0.8, 0.2)  # on the sheet, where the object is not
MAX_PICTURES, MAX_PARTS_FROM, MAX_STEPS, MAX_GROUPS = 100_000, 4096, 1_000_000, 256
LEAST_FOUND = 0.5  # of the pictures; with fewer whose mask is of use, the parts told nothing


@dataclass(frozen=True)
class Job:
    """What is learnt, and where it is written."""

    gan: str  # a built-in generator's name, or a file
    out: Path  # the .safetensors file; a sheet of masks goes beside it
    pictures: int = 2048  # drawn
    parts_from: int = 384  # of them, which the parts are found in
    groups: int = 16  # parts that are told apart
    psi: float = 0.9  # truncation of the pictures
    steps: int = 1500  # batches of 32
    seed: int = 0
    gan_class: int | None = None  # where the generator knows several
    overwrite: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def learn_masks(job: Job, progress: CountProgress) -> Path:
    """Draw pictures, tell object from background in the generator's activations, teach a network; returns its file.

    Raises:
        InputError: the settings make no sense, or the generator's parts do not tell an object from a background.
        OutputError: the file is there already, or cannot be written.
        CheckpointError: the generator cannot be loaded.
    """
    _check(job)
    if job.out.exists() and not job.overwrite:
        raise OutputError(f"There is a file {job.out} already; say --overwrite to replace it.")
    if sheet_of(job.out).exists() and not job.overwrite:
        raise OutputError(f"There is a file {sheet_of(job.out)} already, where the sheet goes; say --overwrite.")
    for path in (job.out, sheet_of(job.out)):
        check_writable(path)
    gan = load_gan(job.gan, job.device, class_index=job.gan_class)
    images, targets = drawn_masks(gan, job, progress)
    if len(images) < LEAST_FOUND * job.pictures:
        raise InputError(
            f"In {job.pictures - len(images)} of {job.pictures} pictures of '{gan.info.name}' no object was found "
            "before a background; use another --seed or more --groups, or give masks of your own."
        )
    network = teach(images, targets, job.steps, torch.Generator().manual_seed(job.seed), progress)
    network = network.cpu().half().float()  # as the file holds it
    segmenter = LearnedSegmenter(network)
    facts = {
        "kind": KIND,
        "generator": gan.info.name,
        "generator_sha256": gan.info.sha256,
        "category": gan.info.category,
        "licence": gan.info.licence,
        "pictures": str(len(images)),
    }
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    make_folder(job.out.parent)
    write_safetensors(job.out, tensors, facts)
    write_png(sheet(images[:SHOWN].cpu(), segmenter), sheet_of(job.out))
    return job.out


def sheet_of(out: Path) -> Path:
    """Where the pictures are shown beside their masks."""
    return out.with_suffix(".png")


@torch.no_grad()
def drawn_masks(
    gan: Gan, job: Job, progress: CountProgress
) -> tuple[Float[Tensor, "n 3 64 64"], Float[Tensor, "n 1 64 64"]]:
    """Pictures of the generator and how likely each pixel is the object, both in [0, 1]; without those where no
    object was found."""
    batch = min(BATCH, at_once(gan.info.resolution))
    cells: list[Tensor] = []
    images: list[Tensor] = []
    scores: list[Tensor] = []
    parts, done = None, 0
    for z in gan.z_samples(job.pictures, job.seed).split(batch):
        picture, activation = activations_of(gan, gan.w_from_z(z, job.psi))
        images.append(_to_px(picture))
        done += len(z)
        if parts is not None:
            scores.append(parts.score(activation))
        else:
            cells.append(activation.half())  # they take most of the room
            if done >= min(job.parts_from, job.pictures):
                generator = torch.Generator().manual_seed(job.seed)
                parts = find_parts(torch.cat(images), cells, job.groups, generator)
                scores, cells = [parts.score(one) for one in cells], []
        progress.on_count("pictures", done, job.pictures)
    pictures = torch.cat(images)
    targets = tidy(_to_px(torch.cat(scores)))
    found = torch.tensor([mask_problem(target) is None for target in targets.cpu()], device=targets.device)
    return pictures[found], targets[found]


def _to_px(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 64 64"]:
    return F.interpolate(values, size=(PX, PX), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def teach(
    images: Float[Tensor, "n 3 64 64"],
    targets: Float[Tensor, "n 1 64 64"],
    steps: int,
    generator: torch.Generator,
    progress: CountProgress,
) -> MaskNet:
    """A network that gives the targets, by cross entropy; pictures are varied so that photos will do as well.

    generator: on the CPU; draws weights, batches and variations.
    """
    network = fresh_net(generator).to(images.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        drawn = torch.randint(len(images), (BATCH,), generator=generator).to(images.device)
        picture, target = varied(images[drawn], targets[drawn], generator)
        loss = F.binary_cross_entropy_with_logits(network(picture), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            progress.on_count("network", step + 1, steps, float(loss.detach()))
    return network.eval().requires_grad_(False)


def varied(
    images: Float[Tensor, "b 3 s s"], targets: Float[Tensor, "b 1 s s"], generator: torch.Generator
) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b 1 s s"]]:
    """Mirrored, moved by up to 8 % of the side, scaled by up to 10 %, in other light, with noise; masks alike."""
    b = len(images)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(images) * 2 - 1

    mirror = torch.where(uniform(b) > 0, 1.0, -1.0)
    scale = 1 + 0.1 * uniform(b)
    theta = images.new_zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale * mirror, scale
    theta[:, :, 2] = 0.16 * uniform(b, 2)
    where = F.affine_grid(theta, list(images.shape), align_corners=True)
    moved = F.grid_sample(
        torch.cat([images, targets], 1), where, mode="bilinear", padding_mode="border", align_corners=True
    )
    pictures, masks = moved[:, :3], moved[:, 3:]
    contrast, tint = 1 + 0.25 * uniform(b, 1, 1, 1), 0.12 * uniform(b, 3, 1, 1)
    noise = torch.randn(images.shape, generator=generator).to(images) * 0.02
    return ((pictures - 0.5) * contrast + 0.5 + tint + noise).clamp(0, 1), masks.clamp(0, 1)


def sheet(images: Float[Tensor, "n 3 64 64"], segmenter: LearnedSegmenter) -> Float[Tensor, "3 h w"]:
    """Pictures, and beside each what is left of it inside its mask."""
    inside = segmenter(images, "object").mask >= OBJECT_LEVEL
    cut = torch.where(inside, images, torch.tensor(BACKDROP).view(1, 3, 1, 1))
    return grid(torch.stack([images, cut], 1).flatten(0, 1))


def _check(job: Job) -> None:
    check_seed(job.seed)
    for name, least, most in (
        ("pictures", BATCH, MAX_PICTURES),
        ("parts_from", BATCH, MAX_PARTS_FROM),
        ("groups", 2, MAX_GROUPS),
        ("steps", 1, MAX_STEPS),
    ):
        value = getattr(job, name)
        if not least <= value <= most:
            raise InputError(f"--{name.replace('_', '-')} must be {least} to {most}, not {value}.")
    if not (math.isfinite(job.psi) and 0 < job.psi <= 2):
        raise InputError(f"--psi must be above 0 and 2 at most, not {job.psi}.")
    if job.out.suffix.lower() != ".safetensors":
        raise InputError(f"What is written is a .safetensors file, and {job.out.name} is named otherwise.")
