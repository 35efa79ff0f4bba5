"""`bozzetto gan masks GAN -o masks.safetensors`: learn to find the object in pictures of a generator's kind."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bozzetto.cli.counting import Counting
from bozzetto.cli.parse import parse
from bozzetto.devices import find_device
from bozzetto.learn_masks import Job, learn_masks, sheet_of
from bozzetto.processes import hold_memory


@dataclass(frozen=True)
class Arguments:
    gan: tyro.conf.Positional[str]  # a built-in generator's name, or a file
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # the .safetensors file to write; a sheet (.png) goes beside it
    pictures: int = 2048  # drawn from the generator
    parts_from: int = 384  # of them, in which the parts are found
    groups: int = 16  # parts that are told apart
    psi: float = 0.9  # truncation of the pictures: 1 is none, 0 the mean
    steps: int = 1500  # of the network, with 32 pictures each
    seed: int = 0
    gan_class: int | None = None  # what to draw, if the generator knows several classes
    overwrite: bool = False  # replace a file that is there
    device: str = "auto"  # auto, cpu or cuda


def gan_masks(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "gan masks", "Learn to find the object in pictures of a generator's kind.")
    values = {name: getattr(args, name) for name in Arguments.__dataclass_fields__}
    hold_memory()
    with Counting() as shown:
        out = learn_masks(Job(**{**values, "device": find_device(args.device)}), shown)
        shown.line(f"Look at {sheet_of(out)} before you use it: bozzetto reconstruct PHOTO --mask learned:{out}")
    sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"gan masks": gan_masks}
