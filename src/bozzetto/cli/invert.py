"""`bozzetto invert PHOTO`: the latent whose picture comes nearest to a photo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Shown
from bozzetto.errors import InputError
from bozzetto.export.images import write_png
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.latent import save_latent
from bozzetto.ingredients import latent_of, mask_of
from bozzetto.pipeline import plan
from bozzetto.presets import find_preset


@dataclass(frozen=True)
class Arguments:
    photo: tyro.conf.Positional[Path]  # an image file
    gan: str = "heads"  # a built-in generator's name, or a file
    mask: str = "auto"  # what counts most: auto, none, alpha, another segmenter's name, or an image file
    category: str | None = None  # what the photo shows, instead of what the generator's file says
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    out: Path | None = None  # .safetensors; results/NAME_latent.safetensors if not given, with a picture beside it
    inversion: tyro.conf.FlagConversionOff[Annotated[InvertConfig, tyro.conf.arg(name="")]] = field(
        default_factory=InvertConfig
    )


def invert(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "invert", "Find the latent whose picture comes nearest to a photo.")
    out = args.out or Path("results") / f"{args.photo.stem}_latent.safetensors"
    if out.suffix != ".safetensors":
        out = out.with_name(out.name + ".safetensors")
    picture = out.with_suffix(".png")
    if picture.resolve() == args.photo.resolve():
        raise InputError(f"The picture beside {out} would replace the photo; use another --out.")
    preset = find_preset("quick")
    job = plan(
        args.photo,
        args.gan,
        config=replace(preset, turn=replace(preset.turn, use=False)),  # the photo alone, without its mirror image
        mask=args.mask,
        seed=args.seed,
        device=args.device,
        category=args.category,
        inversion=args.inversion,
    )
    with Shown(()) as shown:
        masked, _ = mask_of(job, None, shown)
        found = latent_of(job, masked.mask, None, shown)
    write_png(torch.cat((job.picture.image, found.image[0].cpu()), 2), picture)
    save_latent(out, found.w[0], job.gan.info)
    sys.stderr.write(f"PSNR {found.psnr_db:.1f} dB; photo and picture: {picture}\n")
    sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"invert": invert}
