"""`bozzetto general autoencode MODEL [FOLDER|TAR]`: a general model goes on, on thousands of pictures."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bozzetto.autoencode_general import autoencode
from bozzetto.autoencode_job import AutoencodeJob
from bozzetto.cli.counting import Counting
from bozzetto.cli.parse import parse
from bozzetto.cli.progress import told
from bozzetto.config import AutoencodeConfig
from bozzetto.devices import find_device
from bozzetto.processes import hold_memory


@dataclass(frozen=True)
class Arguments:
    model: tyro.conf.Positional[str]  # the general model that goes on: a built-in name, or a file
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # the .safetensors file to write
    source: tyro.conf.Positional[Path | None] = None  # a folder or tar of photos; the generator's own pictures if none
    gan: str | None = None  # a built-in generator's name, or a file; the one that the model was trained with if none
    config: AutoencodeConfig = field(default_factory=AutoencodeConfig)
    pictures: int = 6000  # of the source at most; or how many the generator draws
    psi: float = 0.9  # truncation of the pictures that the generator draws
    mask: str = "auto"  # auto, none, or a segmenter's name
    validate: Path | None = None  # rendered heads with true depth: a folder of make-heads, or packed ones
    held: int = 24  # pictures that are scored and not learned from; without --validate beside the others
    category: str | None = None  # what the pictures show, instead of what the generator's file says
    name: str | None = None  # what the model is called; the file's name if not given
    licence: str | None = None  # of the model; that of the one that goes on if not given
    keep_albedo: bool = True  # store the albedo network too
    seed: int = 0  # of the pictures, and of an albedo network that begins anew
    order: int = 0  # seed of the order in which the pictures are taken
    device: str = "auto"  # auto, cpu or cuda
    resume: bool = False  # go on where an interrupted training stopped
    overwrite: bool = False  # start over


class Shown(Counting):
    """An `AutoencodeProgress` for people."""

    def on_scores(self, done: int, scores: Mapping[str, float]) -> None:
        self.line(f"after {done} iterations, pictures held out: {told(scores)}")


def general_autoencode(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "general autoencode", "A general model goes on, on thousands of pictures.")
    values = {name: getattr(args, name) for name in Arguments.__dataclass_fields__}
    hold_memory()
    with Shown() as shown:
        out = autoencode(AutoencodeJob(**{**values, "device": find_device(args.device)}), shown)
    sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"general autoencode": general_autoencode}
