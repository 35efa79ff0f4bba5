"""Many photos, one after another or at once: one that fails does not keep the others waiting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import FitConfig
from bozzetto.crop import Square
from bozzetto.devices import find_device
from bozzetto.errors import BozzettoError, FitError
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.forecast import fitted
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import Inversion, InvertConfig, check_inversion, invert
from bozzetto.gan.start import StartTable, start_table
from bozzetto.gan.whiten import whitening
from bozzetto.general_model import GeneralModel, load_general
from bozzetto.ingredients import Plan, inversion_loss, mask_of
from bozzetto.inputs import find_gan, parser_with_weights, read_scenes
from bozzetto.keep import Progress
from bozzetto.losses.perceptual import Perceptual
from bozzetto.losses.registry import make_perceptual
from bozzetto.method.sampling import SceneDistribution
from bozzetto.metrics.truth import Truth
from bozzetto.pipeline import plan, run
from bozzetto.results import Reconstruction
from bozzetto.segment.registry import NAMES

BATCH_PIXELS = 2**17  # of photos inverted at once: 32 of 64 px, 8 of 128, 1 from 512 on


Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one photo."""

    photo: Path
    folder: Path
    result: Result | None  # None where it failed
    error: BozzettoError | None = None


def name_folders(photos: Sequence[Path], out: Path) -> list[Path]:
    """A result folder `<out>/<stem>` for each photo; of those with one stem, the second becomes `<stem>-2`, ..."""
    seen: dict[str, int] = {}
    folders = []
    for photo in photos:
        stem = photo.stem or photo.name
        key = stem.casefold()  # some file systems do not tell upper from lower case
        seen[key] = seen.get(key, 0) + 1
        folders.append(out / (stem if seen[key] == 1 else f"{stem}-{seen[key]}"))
    return folders


def each(jobs: Iterable[tuple[Path, Path]], work: Callable[[Path, Path], Result]) -> Iterator[Outcome[Result]]:
    """Do the work (photo, folder) -> result for every pair and yield what came of it, in order.

    Errors a user can cause are part of the outcome; an interrupt ends everything.
    """
    for photo, folder in jobs:
        try:
            yield Outcome(photo, folder, work(photo, folder))
        except BozzettoError as error:
            yield Outcome(photo, folder, None, error)


@dataclass(frozen=True)
class Order:
    """What is wanted of every photo, in names and files alone, so that other processes can be told.

    `pipeline.reconstruct` describes the fields.
    """

    config: FitConfig
    inversion: InvertConfig
    gan: str = "heads"
    gan_class: int | None = None
    latent: Path | None = None
    mask: str = "auto"
    prior: str | None = None
    general: str | None = None
    refine: int | None = None
    seed: int = 0
    device: str = "auto"
    category: str | None = None
    scenes: Path | None = None
    crop: str | Square = "auto"
    formats: tuple[str, ...] = DEFAULT_FORMATS
    max_memory: float | None = None  # bytes; smaller chunks where a photo's peak would be above
    resume: bool = field(default=False, compare=False)  # not of the order's identity: see `tools_of`
    overwrite: bool = field(default=False, compare=False)

    def plan(self, photo: Path) -> Plan:
        """One photo, read and checked. Raises what `pipeline.plan` does, `tools_of`, and `forecast.fitted`."""
        tools = tools_of(self)
        job = plan(
            photo,
            tools.gan,
            mask=self.mask,
            latent=self.latent,
            prior=self.prior,
            seed=self.seed,
            config=self.config,
            category=self.category,
            inversion=self.inversion,
            scenes=tools.scenes,
            crop=self.crop,
            general=tools.general,
            refine=self.refine,
        )
        return job if self.max_memory is None else fitted(job, self.max_memory)

    def run(self, job: Plan, folder: Path, progress: Progress, truth: Truth | None = None) -> Reconstruction:
        """What was planned, into its result folder. Raises what `pipeline.run` does."""
        return run(job, folder, self.resume, self.overwrite, progress, truth, self.formats)

    def from_anywhere(self) -> Order:
        """The same order with absolute paths, for processes that work in another folder."""
        parser, weights = parser_with_weights(self.mask)
        if weights is not None:
            mask = f"{parser}:{os.path.abspath(weights)}"
        else:
            mask = self.mask if self.mask in NAMES else os.path.abspath(self.mask)
        return replace(
            self,
            gan=_named_or_absolute(self.gan),
            general=None if self.general is None else _named_or_absolute(self.general),
            mask=mask,
            latent=None if self.latent is None else self.latent.absolute(),
            scenes=None if self.scenes is None else self.scenes.absolute(),
        )


def _named_or_absolute(name: str) -> str:
    """A file's absolute path; a name that is built in, or known, as it is."""
    is_path = os.path.basename(name) != name or Path(name).suffix != ""
    return os.path.abspath(name) if is_path and os.path.exists(name) else name


class Tools(NamedTuple):
    """What all photos of an order share."""

    gan: Gan
    general: GeneralModel | None
    scenes: SceneDistribution | None


@lru_cache(maxsize=1)
def tools_of(order: Order) -> Tools:
    """The files that an order names, read once a process. Raises InputError and CheckpointError."""
    gan = find_gan(order.gan, find_device(order.device), order.config.compute.gan_precision, order.gan_class)
    general = None if order.general is None else load_general(order.general, gan.device)
    return Tools(gan, general, None if order.scenes is None else read_scenes(order.scenes))


@dataclass(frozen=True)
class Inverted:
    """What became of one photo's inversion."""

    photo: Path
    job: Plan | None = None  # None where it could not be planned
    found: Inversion | None = None  # of this photo alone; None where it failed
    distance: float | None = None  # perceptual, to the photo inside the mask; None where there is no measure for it
    error: BozzettoError | None = None


def measure_of(config: InvertConfig, gan: Gan) -> Perceptual | None:
    """The perceptual distance to judge inversions by: the one of their loss, or else the discriminator's, if any."""
    if config.perceptual in ("discriminator", "none"):
        return None if gan.discriminator is None else make_perceptual("discriminator", gan, gan.device)
    return make_perceptual(config.perceptual, gan, gan.device)


class Inverter:
    """Finds the latents of photos, as many at once as fit into memory; samples to start from are drawn once."""

    def __init__(self, gan: Gan, config: InvertConfig, seed: int, progress: Progress) -> None:
        """Raises InputError, CheckpointError, MissingExtraError where the config names what is not to be had."""
        check_inversion(config)
        self.gan, self.seed, self.progress = gan, seed, progress
        self.config, self.perceptual = inversion_loss(config, gan)
        self.measure = measure_of(config, gan)
        self.at_once = max(1, BATCH_PIXELS // gan.info.resolution**2)
        self.table: StartTable | None = None

    def each(self, photos: Sequence[Path], make_plan: Callable[[Path], Plan]) -> Iterator[Inverted]:
        """What becomes of every photo, in order.

        make_plan: reads one photo for this generator. Errors a user can cause are part of the outcome; an interrupt
        ends everything.
        """
        waiting: list[Inverted] = []
        masks: list[Float[Tensor, "1 1 s s"]] = []
        for index, photo in enumerate(photos):
            try:
                job = make_plan(photo)
                masks.append(mask_of(job, None, self.progress)[0].mask)
                waiting.append(Inverted(photo, job))
            except BozzettoError as error:
                waiting.append(Inverted(photo, error=error))
            if len(masks) == self.at_once or index + 1 == len(photos):
                found = iter(self.together([one for one in waiting if one.job], masks))
                yield from (next(found) if one.job else one for one in waiting)
                waiting, masks = [], []

    def together(self, ready: Sequence[Inverted], masks: Sequence[Float[Tensor, "1 1 s s"]]) -> list[Inverted]:
        """One batch; photo by photo where the numbers of one of them run away."""
        if not ready:
            return []
        images = torch.stack([one.job.picture.image for one in ready if one.job]).to(self.gan.device)
        inside = torch.cat(list(masks)).to(self.gan.device)
        generator = torch.Generator().manual_seed(self.seed)
        if self.table is None:
            self.table = start_table(self.gan, whitening(self.gan), generator, self.config.start_samples)
        tell = self.progress.on_inversion
        try:
            whole = invert(
                images, self.gan, self.config, generator, tell, inside, perceptual=self.perceptual, table=self.table
            )
        except FitError as error:
            if len(ready) == 1:
                return [replace(ready[0], error=error)]
            return [self.together([one], [mask])[0] for one, mask in zip(ready, masks, strict=True)]
        tell(self.config.steps, self.config.steps, {"psnr_db": float(whole.psnr_db.mean())})
        distances: list[float | None] = [None] * len(ready)
        if self.measure is not None:
            with torch.no_grad():
                distances = self.measure(whole.image, images, inside).tolist()
        return [replace(one, found=whole.item(i), distance=distances[i]) for i, one in enumerate(ready)]
