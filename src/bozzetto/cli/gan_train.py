"""`bozzetto gan train FOLDER|TAR`: a generator of one's own pictures; `bozzetto gan distance`: how good one is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import BarColumn, TextColumn

from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Live, clock, told
from bozzetto.devices import find_device
from bozzetto.errors import InputError, MissingExtraError
from bozzetto.gan.training.images import load_images
from bozzetto.gan.training.trainer import TrainConfig
from bozzetto.gan.zoo import load_gan
from bozzetto.gan_distance import measure_distance
from bozzetto.losses.stlpips import INSTALL
from bozzetto.processes import join, leave
from bozzetto.train_gan import Job, train

LINE_EVERY_S = 30.0  # where there is no terminal


@dataclass(frozen=True)
class Arguments:
    source: tyro.conf.Positional[Path]  # a folder or a tar of pictures
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # the .safetensors file to write
    size: int = 64  # px: 16, 32, 64, 128 or 256
    kimg: float = 1000.0  # thousands of pictures to see in all
    start: str | None = None  # a generator to start from: a name or a file; from scratch if not given
    width: float = 1.0  # times the usual channel counts
    w_dim: int = 512  # width of z and w; 512 as the published generators
    mapping_layers: int = 8
    limit: int | None = None  # pictures of the source at most
    name: str | None = None  # what the generator is called; the file's name if not given
    category: str = "unknown"  # what its pictures show, e.g. cat
    licence: str = "unknown"  # of the weights; depends on the pictures
    save_every: float = 20.0  # thousands of pictures between two checkpoints and sample grids
    distance_every: float = 0.0  # thousands of pictures between two measurements of the distance; 0: at the end only
    distance_pictures: int = 2000  # real and generated ones that the distance is measured on; 0: never
    resume: bool = False  # go on with a training that was stopped, or see more pictures
    overwrite: bool = False  # start over
    device: str = "auto"  # auto, cpu or cuda
    train: tyro.conf.FlagConversionOff[Annotated[TrainConfig, tyro.conf.arg(name="")]] = field(
        default_factory=TrainConfig
    )


class Shown(Live):
    """A `TrainProgress` for people: a bar where there is a terminal, a line now and then where there is none."""

    def __init__(self) -> None:
        super().__init__(None, (TextColumn("{task.description}"), BarColumn(bar_width=10)))
        self.told_at = 0.0

    def on_step(self, images: int, total: int, terms: Mapping[str, float], images_per_s: float) -> None:
        left = clock((total - images) / images_per_s)
        text = (
            f"{images / 1000:.1f} of {total / 1000:.0f} kimg  {images_per_s:.1f} images/s  {left} left  {told(terms)}"
        )
        if self.live:
            self.bar.update(self.task, description=text, completed=images, total=total)
        elif time.monotonic() - self.told_at >= LINE_EVERY_S or images >= total:
            self.told_at = time.monotonic()
            self.line(text)


def gan_train(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "gan train", "Train a StyleGAN2 on a folder or tar of pictures.")
    values = {name: getattr(args, name) for name in Arguments.__dataclass_fields__}
    device = join(find_device(args.device))
    job = Job(**{**values, "device": device})
    with Shown() as shown:
        out = train(job, shown)
    leave()
    sys.stdout.write(f"{out}\n")
    return 0


@dataclass(frozen=True)
class DistanceArguments:
    source: tyro.conf.Positional[Path]  # a folder or a tar of pictures
    gan: str = "heads"  # a generator's name, or a file
    n: int = 2000  # real pictures, and generated ones
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda


def gan_distance(argv: Sequence[str]) -> int:
    """Print the distance between a generator's pictures and a set's as JSON."""
    args = parse(DistanceArguments, argv, "gan distance", "How far a generator's pictures are from those of a set.")
    if args.n < 2:
        raise InputError(f"--n must be 2 at least, not {args.n}.")
    gan = load_gan(args.gan, find_device(args.device))
    images = load_images(args.source, gan.info.resolution)
    if args.n > len(images):
        raise InputError(f"{args.source} holds {len(images)} pictures; use a smaller --n.")
    found = measure_distance(gan.generator, images, args.n, args.seed)
    if found is None:
        raise MissingExtraError(f"The distance needs the stlpips network: run `{INSTALL}`.")
    sys.stdout.write(json.dumps({**found, "n": args.n, "seed": args.seed, "sha256": gan.info.sha256}) + "\n")
    return 0


COMMANDS = {"gan train": gan_train, "gan distance": gan_distance}
