"""`bozzetto gan inspect`, `bozzetto gan sample` and `bozzetto gan convert`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from bozzetto.cli.parse import parse
from bozzetto.devices import find_device
from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import check_writable
from bozzetto.export.images import grid, write_png
from bozzetto.gan.convert import StoredType
from bozzetto.gan.convert import convert as write_converted
from bozzetto.gan.generator import Gan
from bozzetto.gan.zoo import load_gan, open_gan
from bozzetto.seeds import check_seed

MAX_SAMPLES = 1024
LICENCE_NOTE = (
    "The file states no licence; ask who made it. The generators that NVIDIA published are not for commercial use, nor "
    "are most that were trained on photographs of people."
)
MAX_PSI = 2  # further out than any latent that a generator was trained on


@dataclass(frozen=True)
class Inspect:
    gan: tyro.conf.Positional[str] = "heads"  # a generator's name, or a file
    grid: Path | None = None  # picture of random samples; results/NAME_samples.png if not given
    n: int | None = None  # samples in it, 0 for no picture; 16, or 4 where they are larger than 128 px
    gan_class: int | None = None  # what the samples are of, if the generator knows several classes; 0 if not given


def inspect(argv: Sequence[str]) -> int:
    """Print what is known of a generator as JSON, and draw samples."""
    args = parse(Inspect, argv, "gan inspect", "Say what a generator file holds, and draw samples.")
    if args.n is not None and not 0 <= args.n <= MAX_SAMPLES:
        raise InputError(f"--n must be 0 to {MAX_SAMPLES}, not {args.n}.")
    if args.grid is not None:
        check_ending(args.grid, ".png")
    gan = open_gan(args.gan, class_index=args.gan_class)
    if gan.info.num_classes and args.gan_class is None:
        gan = open_gan(args.gan, class_index=0)
    facts = facts_of(gan)
    count = (16 if gan.info.resolution <= 128 else 4) if args.n is None else args.n
    if count > 0:
        path = args.grid or Path("results") / f"{gan.info.name}_samples.png"
        write_png(grid(samples(gan, count)), path)
        facts["grid"] = str(path)
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    return 0


def facts_of(gan: Gan) -> dict[str, Any]:
    """Everything a generator says of itself."""
    spec = gan.generator.spec
    facts: dict[str, Any] = asdict(gan.info) | spec.describe()
    facts["generator_parameters"] = sum(p.numel() for p in gan.generator.parameters())
    if gan.info.licence == "unknown":
        facts["licence_note"] = LICENCE_NOTE
    net = gan.discriminator
    facts["discriminator_arch"] = None if net is None else net.spec.discriminator_arch
    facts["discriminator_parameters"] = 0 if net is None else sum(p.numel() for p in net.parameters())
    return facts


@dataclass(frozen=True)
class Sample:
    gan: tyro.conf.Positional[str] = "heads"  # a built-in generator's name, or a file
    out: Path = Path("results/samples.png")  # one picture, a grid
    n: int = 36  # pictures
    seed: int = 0
    psi: float = 0.7  # truncation: 1 is none, 0 the mean
    gan_class: int | None = None  # what to draw, if the generator knows several classes
    device: str = "auto"  # auto, cpu or cuda


def sample(argv: Sequence[str]) -> int:
    """Draw a grid of random pictures."""
    args = parse(Sample, argv, "gan sample", "Pictures that a generator makes.")
    if not 1 <= args.n <= MAX_SAMPLES:
        raise InputError(f"--n must be 1 to {MAX_SAMPLES}, not {args.n}.")
    check_seed(args.seed)
    if not (math.isfinite(args.psi) and abs(args.psi) <= MAX_PSI):
        raise InputError(f"--psi must be -{MAX_PSI} to {MAX_PSI}, not {args.psi}: 1 is no truncation, 0 the mean.")
    check_ending(args.out, ".png")
    check_writable(args.out)
    gan = load_gan(args.gan, find_device(args.device), class_index=args.gan_class)
    write_png(grid(samples(gan, args.n, args.seed, args.psi)), args.out)
    sys.stdout.write(f"{args.out}\n")
    return 0


@torch.no_grad()
def samples(gan: Gan, n: int, seed: int = 0, psi: float = 0.7) -> torch.Tensor:
    """Pictures [N, 3, S, S] in [0, 1] of random latents."""
    parts = gan.z_samples(n, seed).split(16)
    return torch.cat([gan.image_from_w(gan.w_from_z(part, psi)).cpu() for part in parts]) / 2 + 0.5


def check_ending(path: Path, ending: str) -> None:
    """Raise InputError for a file whose name says that something else is in it."""
    if path.suffix.lower() != ending:
        raise InputError(f"What is written is a {ending} file, and {path.name} is named otherwise; end it in {ending}.")


@dataclass(frozen=True)
class Convert:
    gan: tyro.conf.Positional[str]  # a generator file of any known format, or a built-in one's name
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # the .safetensors file to write
    dtype: StoredType = "float32"  # float16: half the size, pictures differ in the third digit
    name: str | None = None  # what to call it; the file's own name for itself if not given
    category: str | None = None  # what its pictures show, e.g. cat
    licence: str | None = None  # of the weights
    overwrite: bool = False  # replace a file that is there


def convert(argv: Sequence[str]) -> int:
    """Write a generator as safetensors."""
    args = parse(Convert, argv, "gan convert", "Write a generator of any known format as .safetensors.")
    check_ending(args.out, ".safetensors")
    if args.out.exists() and not args.overwrite:
        raise OutputError(f"There is a file {args.out} already; say --overwrite to replace it.")
    given = {"name": args.name, "category": args.category, "licence": args.licence}
    write_converted(args.gan, args.out, args.dtype, {key: text for key, text in given.items() if text is not None})
    sys.stdout.write(f"{args.out}\n")
    return 0


COMMANDS = {"gan inspect": inspect, "gan sample": sample, "gan convert": convert}
