"""`bozzetto invert PHOTO|FOLDER|TAR|LIST...`: the latents whose pictures come nearest to photos."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from bozzetto.batch import Inverted, Inverter, name_folders
from bozzetto.cli.complain import complain
from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Shown
from bozzetto.cli.reconstruct import RESULTS, refuse_shared_files, sum_up
from bozzetto.crop import parse_crop
from bozzetto.devices import find_device
from bozzetto.errors import BozzettoError, InputError
from bozzetto.export.files import check_writable, make_folder
from bozzetto.export.images import write_png
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.latent import save_latent
from bozzetto.ingredients import Plan
from bozzetto.inputs import find_gan
from bozzetto.photo_list import is_one_photo, list_photos
from bozzetto.pipeline import plan
from bozzetto.presets import find_preset

SHEET = "latents_sheet.png"  # of several photos
SHEET_ROWS = 50  # at most


@dataclass(frozen=True)
class Arguments:
    photos: tyro.conf.Positional[tuple[Path, ...]] = ()  # image files, folders or tars of them, lists (.txt)
    gan: str = "heads"  # a built-in generator's name, or a file
    gan_class: int | None = None  # what the photos show, if the generator knows several classes
    mask: str = "auto"  # what counts most: auto, none, alpha, another segmenter's name, or an image file
    crop: str = "auto"  # the square of the photo: auto (finds the object), none (the middle), or x,y,size in pixels
    category: str | None = None  # what the photos show, instead of what the generator's file says
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    out: Path | None = None  # one photo: .safetensors (results/NAME_latent.safetensors); several: the folder of these
    inversion: tyro.conf.FlagConversionOff[Annotated[InvertConfig, tyro.conf.arg(name="")]] = field(
        default_factory=InvertConfig
    )


def invert(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "invert", "Find the latents whose pictures come nearest to photos.")
    photos = list_photos(args.photos)
    single = len(photos) == 1 and is_one_photo(args.photos[0])
    if len(photos) > 1:
        refuse_shared_files(args.mask, {})
    crop, preset = parse_crop(args.crop), find_preset("quick")
    files, sheet = files_of(photos, args.out, single)
    for path in (*files, sheet):
        check_writable(path)
    gan = find_gan(args.gan, find_device(args.device), preset.compute.gan_precision, args.gan_class)

    # No fit follows, so nothing is asked of the generator for one; and no mirror image is inverted too.
    alone = replace(preset, stages=(), turn=replace(preset.turn, use=False))

    def planned(photo: Path) -> Plan:
        return plan(
            photo,
            gan,
            config=alone,
            mask=args.mask,
            seed=args.seed,
            category=args.category,
            inversion=args.inversion,
            crop=crop,
        )

    failed: list[tuple[Path, BozzettoError]] = []
    rows: list[Float[Tensor, "3 s t"]] = []
    with Shown(()) as shown:
        inverter = Inverter(gan, args.inversion, args.seed, shown)
        for one, path in zip(inverter.each(photos, planned), files, strict=True):
            if one.error is not None:
                failed.append((one.photo, one.error))
                complain(str(one.error) if single else f"{one.photo}: {one.error}")
                continue
            shown.line(told(one, inverter))
            if (note := doubt(one, args.inversion)) is not None:
                complain(note)
            rows += row_of(one)
            save(one, path)
            sys.stdout.write(f"{path}\n")
            sys.stdout.flush()
    if rows:
        write_png(torch.cat(rows[:SHEET_ROWS], 1), sheet)
        sys.stderr.write(f"photo, start and result: {sheet}\n")
    return sum_up(failed, len(photos), single)


def files_of(photos: Sequence[Path], out: Path | None, single: bool) -> tuple[list[Path], Path]:
    """Where the latents go, and the picture of them all. Raises InputError where it would replace a photo."""
    if single:
        path = out or RESULTS / f"{photos[0].stem}_latent.safetensors"
        path = path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")
        files, sheet = [path], path.with_suffix(".png")
    else:
        folder = out or RESULTS
        files = [path.with_name(f"{path.name}_latent.safetensors") for path in name_folders(photos, folder)]
        sheet = folder / SHEET
    if sheet.resolve() in {photo.resolve() for photo in photos}:
        raise InputError(f"The picture {sheet} would replace a photo; use another --out.")
    return files, sheet


def row_of(one: Inverted) -> Iterator[Float[Tensor, "3 s t"]]:
    """Photo, start and result side by side."""
    if one.job is not None and one.found is not None:
        yield torch.cat((one.job.picture.image, one.found.start[0].cpu(), one.found.image[0].cpu()), 2)


def told(one: Inverted, inverter: Inverter) -> str:
    """How well it went, in a line."""
    if one.job is None or one.found is None:
        return ""
    parts = [f"PSNR {float(one.found.psnr_db[0]):.1f} dB"]
    if one.distance is not None and inverter.measure is not None:
        parts.append(f"{inverter.measure.name} distance {one.distance:.3f}")
    parts.append(f"{one.found.seconds:.1f} s")
    picture = one.job.picture
    if picture.how != "whole":
        square = picture.square
        parts.append(f"crop {square.left},{square.top},{square.side} ({picture.how})")
    return f"{one.photo.name}: {', '.join(parts)}"


def doubt(one: Inverted, config: InvertConfig) -> str | None:
    """A sentence where a fit would warn of this latent or refuse it: here it is what was asked for, and kept."""
    if one.job is None or one.found is None:
        return None
    psnr_db = float(one.found.psnr_db[0])
    if psnr_db >= config.poor_db and psnr_db >= config.hopeless_db:
        return None
    would = "refuses it" if psnr_db < config.hopeless_db else "warns of it"
    return (
        f"Note: {one.photo.name} is poorly met, PSNR {psnr_db:.1f} dB; a reconstruction from this latent {would}. "
        "Look at the picture, and try another --crop or --mask, or a generator of what the photo shows."
    )


def save(one: Inverted, path: Path) -> None:
    """The latent as a file."""
    if one.job is not None and one.found is not None:
        make_folder(path.parent)
        save_latent(path, one.found.w[0], one.job.gan.info, one.found.noises)


COMMANDS = {"invert": invert}
