"""`bozzetto through-gan RESULT`: the object turned and relit as the generator would picture it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from bozzetto.cli.parse import parse
from bozzetto.devices import find_device
from bozzetto.inputs import find_gan
from bozzetto.method.through_gan import STEPS
from bozzetto.results import export_folder, read_networks
from bozzetto.through_gan import add_to_folder


@dataclass(frozen=True)
class Arguments:
    result: tyro.conf.Positional[Path]  # a result folder with its networks
    gan: str = "heads"  # the generator that it was fitted with: a built-in one's name, or its file
    gan_class: int | None = None  # what the photo shows, if the generator knows several classes
    device: str = "auto"  # auto, cpu or cuda
    steps: int = STEPS  # of a latent's own after E's guess, where renderings are brought back; more are nearer to them


def through_gan(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "through-gan", "The object turned and relit as the generator would picture it.")
    read_networks(args.result)  # complains of a folder that is no result before the generator is looked for
    gan = find_gan(args.gan, find_device(args.device), "fp32", args.gan_class)
    result = add_to_folder(args.result, gan, args.steps)
    for path in export_folder(result, args.result, ("sheet", "viewer", "gan")):
        sys.stderr.write(f"{path}\n")
    sys.stdout.write(f"{args.result}\n")
    return 0


COMMANDS = {"through-gan": through_gan}
