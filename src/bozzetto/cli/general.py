"""`bozzetto general train [FOLDER|TAR]`: one model for all photos of a generator's kind."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.progress import BarColumn, TextColumn

from bozzetto.cli.parse import parse, scan
from bozzetto.cli.progress import Live, clock, told
from bozzetto.config import GeneralConfig
from bozzetto.devices import find_device
from bozzetto.errors import InputError, MissingExtraError
from bozzetto.gan.invert import InvertConfig
from bozzetto.general_job import GeneralJob
from bozzetto.method.joint import JointEvent
from bozzetto.presets import find_general_preset
from bozzetto.processes import hold_memory, join, leave, place
from bozzetto.train_general import train, working_folder

LINE_EVERY_S = 30.0  # where there is no terminal


@dataclass(frozen=True)
class Arguments:
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # the .safetensors file to write
    source: tyro.conf.Positional[Path | None] = None  # a folder or tar of photos; the generator's own pictures if none
    gan: str = "heads"  # a built-in generator's name, or a file
    preset: str = "general-quick"  # general-quick (ours), general, general-init, pan-joint; flags show its values
    photos: int = 192  # of the source at most; or how many pictures the generator draws
    psi: float = 0.85  # truncation of the pictures that the generator draws
    validate: Path | None = None  # rendered heads with true depth: a folder of make-heads, or packed ones
    held: int = 16  # photos that are validated on; without --validate they are taken from the others
    mask: str = "auto"  # auto, none, or a segmenter's name
    prior: str | None = None  # shape that the training starts from, instead of the preset's
    inversion: InvertConfig = field(default_factory=InvertConfig)  # how photos' latents are found
    category: str | None = None  # what the photos show, instead of what the generator's file says
    name: str | None = None  # what the model is called; the file's name if not given
    licence: str = "unknown"  # of the model
    keep_offset: bool = True  # store the offset encoder too, which a refinement then need not train
    keep_albedo: bool = True  # store the albedo network too; previews with --texture photo can do without
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    resume: bool = False  # go on where an interrupted training stopped
    overwrite: bool = False  # start over
    tensorboard: bool = False  # write TensorBoard logs into the working folder too


class Shown(Live):
    """A `GeneralProgress` for people."""

    def __init__(self, board: Board | None) -> None:
        super().__init__(None, (TextColumn("{task.description}"), BarColumn(bar_width=10)))
        self.told_at, self.since, self.first, self.board = 0.0, time.monotonic(), -1, board

    def on_gathered(self, what: str, done: int, total: int) -> None:
        if self.live:
            self.bar.update(self.task, description=f"{what}: latents and turns", completed=done, total=total)
        else:
            self.line(f"{what}: {done} of {total} have their latent")
        self.since, self.first = time.monotonic(), -1

    def on_iteration(self, event: JointEvent) -> None:
        if self.board is not None and event.terms:
            self.board.add(event.phase.step.kind, event.done, event.terms)
        if self.first < 0:
            self.first = event.done - 1
        each = (time.monotonic() - self.since) / (event.done - self.first)
        text = (
            f"{event.phase.title} {event.iteration} of {event.phase.step.iterations}  {told(event.terms)}  "
            f"({event.done} of {event.total}, {clock(each * (event.total - event.done))} left)"
        )
        if self.live:
            self.bar.update(self.task, description=text, completed=event.done, total=event.total)
        elif time.monotonic() - self.told_at >= LINE_EVERY_S or event.done == event.total:
            self.told_at = time.monotonic()
            self.line(text)

    def on_validation(self, epoch: int, scores: Mapping[str, float]) -> None:
        self.line(f"epoch {epoch}, photos held out: {told(scores)}")
        if self.board is not None:
            self.board.add("validation", epoch, scores)


class Board:
    """TensorBoard's log of a training."""

    def __init__(self, folder: Path) -> None:
        """Raises MissingExtraError where tensorboard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("--tensorboard needs a package: run `pip install tensorboard`.") from error
        self.writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def add(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)


def general_train(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    preset = find_general_preset(scan(argv, "--preset") or "general-quick")
    nameless: Any = tyro.conf.arg(name="")
    annotated: Any = Annotated
    spelled_out: Any = tyro.conf.FlagConversionOff
    rows: Any = [
        ("arguments", annotated[Arguments, nameless]),
        ("config", spelled_out[annotated[GeneralConfig, nameless]], field(default=preset)),
    ]
    whole: Any = make_dataclass("Arguments", rows, frozen=True)
    what = "One model for all photos of the kind that a generator makes."
    parsed = parse(whole, argv, "general train", what)
    args, config = parsed.arguments, parsed.config
    if config.fit.stages:
        raise InputError("A general model has rounds and no stages; leave --fit.stages out.")
    values = {name: getattr(args, name) for name in Arguments.__dataclass_fields__ if name != "tensorboard"}
    hold_memory()
    device = join(find_device(args.device))
    job = GeneralJob(**{**values, "device": device}, config=config)
    board = Board(working_folder(args.out)) if args.tensorboard and place()[0] == 0 else None
    try:
        with Shown(board) as shown:
            out = train(job, shown)
    finally:
        leave()
    if place()[0] == 0:
        sys.stdout.write(f"{out}\n")
    return 0


COMMANDS = {"general train": general_train}
