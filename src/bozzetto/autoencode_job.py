"""What a photo-geometric autoencoding by a general model is asked for, and its pictures with their masks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bozzetto.config import AutoencodeConfig
from bozzetto.errors import CheckpointError, InputError, MissingExtraError, OutputError
from bozzetto.gan.generator import Gan
from bozzetto.gan.start import at_once
from bozzetto.gan.training.images import load_images
from bozzetto.inputs import digest, parser_with_weights
from bozzetto.results.partial import Partial
from bozzetto.segment.categories import find_category
from bozzetto.segment.registry import MAKERS, is_at_hand, make_segmenter
from bozzetto.segment.segmenter import Segmenter, covers_everything, mask_problem

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
    out: Path  # .safetensors; pictures, masks and state go to the folder beside it that ends in .autoencoding
    source: Path | None = None  # folder or tar of photos, framed as the generator's; None: the generator's own pictures
    gan: str | Gan | None = None  # None: the built-in one that the model was trained with
    config: AutoencodeConfig = field(default_factory=AutoencodeConfig)
    pictures: int = 6000  # of the source at most; or how many the generator draws
    psi: float = 0.9  # truncation of the pictures that the generator draws
    mask: str = "auto"
    validate: Path | None = None  # rendered heads with true depth: a folder of make-heads, or packed ones
    held: int = 24  # pictures that are scored and not learned from; without --validate taken beside the others
    category: str | None = None
    name: str | None = None
    licence: str | None = None  # None: the model's
    keep_albedo: bool = True  # store A too
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
    job: AutoencodeJob, gan: Gan, category: str, partial: Partial, progress: AutoencodeProgress
) -> tuple[Pictures, Pictures | None]:
    """Pictures to learn from and pictures held out, with masks, chunk by chunk; each chunk is kept once found."""
    extra = 0 if job.validate is not None else job.held
    images = _images(job, gan, extra, progress)
    segmenter = find_segmenter(job.mask, category)
    kept: list[Pictures] = []
    lost = 0
    for start in range(0, len(images), CHUNK):
        name, part = f"pictures_{start:06d}.safetensors", images[start : start + CHUNK]
        found = partial.load(name)
        if found is None:
            good = _with_masks(part, segmenter, category)
            partial.save(name, {"image": good.image, "mask": good.mask}, {"of": digest(part)})
        elif found[1] == {"of": digest(part)}:
            good = Pictures(**found[0])
        else:
            raise OutputError(f"{partial.folder} is of other pictures; start over with --overwrite.")
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


def _with_masks(images: UInt8[Tensor, "n 3 s s"], segmenters: Sequence[Segmenter], category: str) -> Pictures:
    """Pictures with their masks, less those whose object nobody finds."""
    row = find_category(category)
    good: list[int] = []
    masks = []
    for i, image in enumerate(images):
        for segmenter in segmenters:
            mask = segmenter(image[None].float() / 255, row).mask[0]
            # One that covers everything is an object that fills the picture, unless another segmenter is to be asked.
            if mask_problem(mask) is None or (len(segmenters) == 1 and covers_everything(mask)):
                good.append(i)
                masks.append((mask * 255).round().to(torch.uint8))
                break
    return Pictures(images[good], torch.stack(masks) if masks else images.new_zeros(0, 1, *images.shape[-2:]))


def find_segmenter(mask: str, category: str) -> list[Segmenter]:
    """The segmenters to ask, in order: the one that is named, or for `auto` the category's that are at hand.

    Raises InputError, CheckpointError, MissingExtraError for one that cannot be used, and where there is none.
    """
    name, weights = parser_with_weights(mask)
    if name in MAKERS:
        return [make_segmenter(name, weights)]
    if name != "auto":
        raise InputError(f"--mask names a segmenter: auto, {', '.join(MAKERS)}; not {mask!r}.")
    found = []
    for one in find_category(category).segmenters:
        if is_at_hand(one):
            with contextlib.suppress(MissingExtraError, CheckpointError):
                found.append(make_segmenter(one))
    if not found:
        raise InputError(f"No segmenter for {category!r} is at hand; name one with --mask.")
    return found
