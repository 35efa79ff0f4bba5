"""What a photo-geometric autoencoding by a general model is asked for, and its pictures with their masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bozzetto.config import AutoencodeConfig
from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan
from bozzetto.gan.start import at_once
from bozzetto.gan.training.images import load_images
from bozzetto.inputs import category_of, parser_with_weights
from bozzetto.results.partial import Partial
from bozzetto.segment.registry import MAKERS, Masked, mask_photo
from bozzetto.segment.segmenter import covers_everything, mask_problem

CHUNK = 256  # pictures of one file in the working folder
LEAST = 32  # pictures


@runtime_checkable
class AutoencodeProgress(Protocol):
    """Hears how it goes."""

    def on_note(self, text: str) -> None: ...

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None: ...

    def on_scores(self, done: int, scores: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class AutoencodeJob:
    """Which model goes on, on what, and where it is written."""

    model: str | Path  # a general model's name, or its file
    out: Path  # .safetensors; pictures, masks and state go to the folder beside it that ends in .training
    source: Path | None = None  # folder or tar of photos, framed as the generator's; None: the generator's own pictures
    gan: str | Gan | None = None  # None: the one that the model was trained with, by its name
    config: AutoencodeConfig = field(default_factory=AutoencodeConfig)
    pictures: int = 6000  # of the source at most; or how many the generator draws
    psi: float = 0.9  # truncation of the pictures that the generator draws
    mask: str = "auto"
    validate: Path | None = None  # rendered heads with true depth: a folder of make-heads, or packed ones
    held: int = 24  # pictures that are scored and not learned from; without --validate taken beside the others
    category: str | None = None
    name: str | None = None
    licence: str | None = None  # None: the model's
    keep_albedo: bool = True  # store A too, where the model that goes on has one
    seed: int = 0  # of the pictures, and of an albedo network that begins anew
    order: int = 0  # seed of the order that the pictures are taken in
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Pictures:
    """Pictures with the masks of their objects."""

    image: UInt8[Tensor, "n 3 s s"]
    mask: UInt8[Tensor, "n 1 s s"]  # 255 is the object

    def take(self, index: Tensor | slice, device: torch.device) -> tuple[Float[Tensor, "b 3 s s"], Tensor]:
        """Some of them in [0, 1]."""
        image, mask = self.image[index].to(device), self.mask[index].to(device)
        return image.float() / 255, mask.float() / 255


def pictures_of(
    job: AutoencodeJob, gan: Gan, partial: Partial, progress: AutoencodeProgress
) -> tuple[Pictures, Pictures | None]:
    """Pictures to learn from and pictures held out, with masks, chunk by chunk; each chunk is kept once found."""
    extra = 0 if job.validate is not None else job.held
    images = _images(job, gan, extra, progress)
    category = category_of(job.category, gan.info)
    kept: list[Pictures] = []
    lost = 0
    for start in range(0, len(images), CHUNK):
        name, part = f"pictures_{start:06d}.safetensors", images[start : start + CHUNK]
        found = partial.load(name)
        if found is None:
            good = _with_masks(part, job.mask, category)
            partial.save(name, {"image": good.image, "mask": good.mask})
        else:
            good = Pictures(**found[0])
        lost += len(part) - len(good.image)
        kept.append(good)
        progress.on_count("masks", min(start + CHUNK, len(images)), len(images))
    whole = Pictures(torch.cat([one.image for one in kept]), torch.cat([one.mask for one in kept]))
    if lost:
        progress.on_note(f"{lost} of {len(images)} pictures are left out: no segmenter found their object.")
    cut = len(whole.image) - extra
    if cut < LEAST:
        raise InputError(
            f"{max(cut, 0)} pictures with a mask are too few to learn from; at least {LEAST} are needed: give more, "
            "or another --mask."
        )
    others = Pictures(whole.image[cut:], whole.mask[cut:]) if extra else None
    return Pictures(whole.image[:cut], whole.mask[:cut]), others


@torch.no_grad()
def _images(job: AutoencodeJob, gan: Gan, extra: int, progress: AutoencodeProgress) -> UInt8[Tensor, "n 3 s s"]:
    count = job.pictures + extra
    if job.source is not None:
        needs = "this with the photos that it holds out"
        size = gan.info.resolution
        return load_images(job.source, size, count, on_bad=progress.on_note, least=LEAST + extra, needs=needs)
    w = gan.w_from_z(gan.z_samples(count, job.seed), job.psi)
    parts = []
    for part in w.split(min(32, at_once(gan.info.resolution))):
        picture = (gan.image_from_w(part) / 2 + 0.5).clamp(0, 1)
        parts.append((picture * 255).round().to("cpu", torch.uint8))
        progress.on_count("pictures", sum(map(len, parts)), count)
    return torch.cat(parts)


def _with_masks(images: UInt8[Tensor, "n 3 s s"], mask: str, category: str) -> Pictures:
    """Pictures with their masks, less those whose object nobody finds."""
    name, weights = parser_with_weights(mask)
    good: list[int] = []
    masks = []
    for i, image in enumerate(images):
        found: Masked = mask_photo(image.float() / 255, category, segmenter=name, weights=weights)
        nobody = name != "none" and found.segmenter == "none"  # the whole picture, for want of anything better
        if not nobody and (mask_problem(found.mask[0]) is None or covers_everything(found.mask[0])):
            good.append(i)
            masks.append((found.mask[0] * 255).round().to(torch.uint8))
    return Pictures(images[good], torch.stack(masks) if masks else images.new_zeros(0, 1, *images.shape[-2:]))


def check_mask(mask: str) -> None:
    """Raise InputError for what is no segmenter that works on any picture."""
    if parser_with_weights(mask)[0] not in ("auto", *MAKERS):
        raise InputError(f"--mask names a segmenter: auto, {', '.join(MAKERS)}; not {mask!r}.")
