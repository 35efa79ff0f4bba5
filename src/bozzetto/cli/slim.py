"""`bozzetto general slim MODEL -o FILE`: a general model with a thinner albedo network."""

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
from bozzetto.processes import hold_memory
from bozzetto.slim_general import SlimJob, slim_general


@dataclass(frozen=True)
class Arguments:
    general: tyro.conf.Positional[str]  # a built-in general model's name, or a file
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # the .safetensors file to write
    gan: str | None = None  # its teacher: a name or a file; the generator that the model names if not given
    albedo_width: float = 0.125  # of the new albedo network against the papers' tables
    pictures: int = 1024  # of the teacher, that it is taught on
    psi: float = 0.9  # truncation of them: 1 is none, 0 the mean
    steps: int = 800  # with 16 pictures each
    seed: int = 0
    overwrite: bool = False  # replace a file that is there
    device: str = "auto"  # auto, cpu or cuda


def general_slim(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "general slim", "Write a general model with a thinner albedo network.")
    values = {name: getattr(args, name) for name in Arguments.__dataclass_fields__}
    hold_memory()
    with Counting() as shown:
        out = slim_general(SlimJob(**{**values, "device": find_device(args.device)}), shown)
    sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"general slim": general_slim}
