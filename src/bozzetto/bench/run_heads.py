"""The table of heads: every row on every head with every seed, piece by piece, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from bozzetto.bench.datasets import (
    HeadTruth,
    average_depth,
    load_folder_heads,
    load_packed_heads,
    packed_average_depth,
)
from bozzetto.bench.makers import Made, Maker
from bozzetto.bench.rows import Row
from bozzetto.bench.score import score_head
from bozzetto.bench.steps import machine
from bozzetto.bench.summary import summarise_row
from bozzetto.bench.units import Unit, read_unit, unit_path, write_unit
from bozzetto.errors import InputError, OutputError
from bozzetto.export.files import write_text
from bozzetto.inputs import digest
from bozzetto.keep import Progress, Quiet
from bozzetto.losses.perceptual import Perceptual
from bozzetto.results.provenance import plain, versions
from bozzetto.types import Camera

ASSETS = Path(__file__).parent.parent / "assets"
DEFINITIONS = 1  # of the scores; another number, and finished pieces do not go together with new ones


@dataclass(frozen=True)
class HeadsRun:
    """Which rows on which heads."""

    rows: str = "constant,average,prior:ellipsoid,fit"  # with commas between; docs/cli.md lists them
    n: int = 10  # heads
    start: int = 0  # the first of them, counted among those that --yaw-over leaves
    yaw_over: float = 0.0  # take only heads that are turned to a side by more than so many degrees
    seeds: str = "0"  # with commas between, as in 0,1,2
    mask: str = "auto"  # a segmenter's name, or "truth"
    set: Path | None = None  # folder of make-heads or make-animals: its split test, and its split train where needed
    test_heads: Path | None = None  # packed heads (.npz), or a folder of heads, instead of those in the package
    size: int | None = None  # pixels of the packaged heads; the generator's if not given
    train_heads: Path | None = None  # folder of `bozzetto bench make-heads`, for the rows average and supervised
    json: Path = Path("results/heads.json")  # beside it: table, plot, gallery, and the finished pieces
    out: Path | None = None  # folder for the result folders, if they are to be kept


R = TypeVar("R", bound=HeadsRun)


@dataclass(frozen=True)
class Chosen:
    """The heads of a run, and where they stand in their file or folder."""

    heads: HeadTruth
    numbers: tuple[int, ...]  # of heads, rising
    source: str  # name of the file or folder


def with_set(config: R) -> R:
    """`--set` spelled out as test and training heads. Raises InputError where these are given too, or are not there."""
    if config.set is None:
        return config
    if config.test_heads is not None:
        raise InputError("--set already says which heads are tested; leave --test-heads out.")
    test, train = config.set / "test", config.set / "train"
    if not test.is_dir():
        raise InputError(f"{config.set} has no split test; make one with `bozzetto bench make-animals` or make-heads.")
    beside = train if config.train_heads is None and any(train.glob("[0-9]*.npz")) else config.train_heads
    return replace(config, set=None, test_heads=test, train_heads=beside)


def load_test_heads(config: HeadsRun, size: int | None) -> Chosen:
    """The heads that are asked for, of a size if one is given.

    Raises:
        InputError: there are not so many, none of the size, or the file holds none.
    """
    if not 0 <= config.yaw_over < 90:
        raise InputError(f"--yaw-over is an angle from 0 to below 90 degrees, not {config.yaw_over:g}.")
    source = config.test_heads or packed_heads(size or 64)
    if config.test_heads is None and not source.is_file():
        raise InputError(f"There are no packed test heads of {size} px; use 64 or 128, or --test-heads.")
    heads = load_folder_heads(source) if source.is_dir() else load_packed_heads(source)
    found = heads.image.shape[-1]
    if size not in (None, found):
        raise InputError(f"{source} holds heads of {found} px, and {size} px are needed; give others to --test-heads.")
    turned = torch.rad2deg(heads.view[:, 1].double()).abs() > config.yaw_over
    usable = turned.nonzero()[:, 0].tolist() if config.yaw_over > 0 else list(range(len(heads)))
    if config.n < 1 or config.start < 0 or config.start + config.n > len(usable):
        kind = f" that are turned by more than {config.yaw_over:g} degrees" if config.yaw_over > 0 else ""
        raise InputError(
            f"There are {len(usable)} test heads of {found} px{kind}; --start and --n must stay within them."
        )
    numbers = usable[config.start : config.start + config.n]
    # Of a folder the split's name alone would tell little.
    name = source.name if source.is_file() else f"{source.absolute().parent.name}/{source.name}"
    return Chosen(heads.pick(numbers), tuple(numbers), name)


def packed_heads(size: int) -> Path:
    """The package's own test heads of a size."""
    return ASSETS / f"heads_test_{size}.npz"


def load_average(config: HeadsRun, size: int, count: int) -> Tensor:
    """Mean depth [1, S, S] of the training heads that are at hand. Raises InputError where there are none."""
    if config.train_heads is not None:
        found = average_depth(training_split(config.train_heads), count)[0]
    else:
        packed = config.test_heads or packed_heads(size)
        try:
            found = packed_average_depth(packed)[0]
        except InputError as error:
            raise InputError(
                f"{packed.name} carries no average depth; give --train-heads, or leave `average` out of --rows."
            ) from error
    if found.shape[-1] != size:
        raise InputError(f"The training heads are {found.shape[-1]} px wide and the test heads {size}.")
    return found


def training_split(folder: Path) -> Path:
    """The heads to train on in a folder of `make-heads`: its split `train`, or the folder itself."""
    return folder / "train" if (folder / "train").is_dir() else folder


def run_heads(
    config: HeadsRun,
    rows: Sequence[tuple[Row, Maker]],
    seeds: Sequence[int],
    chosen: Chosen,
    perceptual: Perceptual | None,
    overwrite: bool = False,
    progress: Callable[[str, int, int | None], AbstractContextManager[Progress]] = lambda *_: nullcontext(Quiet()),
    on_unit: Callable[[Unit], None] | None = None,
) -> dict[str, Any]:
    """Make and score what is not there yet, and write the table's JSON after every row; returns its content.

    Args:
        chosen: the heads of the config.
        perceptual: distance of pictures from new sides; None leaves its column out.
        progress: (row, head, seed) -> what hears of a piece that is made.
        on_unit: called with every piece, old or new.

    Raises:
        OutputError: pieces of other settings are in the way, or nothing can be written.
        Interrupted: Ctrl-C; finished pieces are kept, and fits where they are.
    """
    check_ours(config.json)
    heads = chosen.heads
    folder = config.json.with_suffix("")
    camera = Camera(heads.image.shape[-1])
    found: list[dict[str, Any]] = []
    for row, maker in rows:
        units: list[Unit] = []
        for seed in seeds if row.seeded else [None]:
            for index, number in enumerate(chosen.numbers):
                one = heads.take(index)
                path = unit_path(folder, row.name, number, seed)
                settings = {**maker.settings(one, seed), **identity(row, one)}
                unit = None if overwrite else read_unit(path, settings)
                if unit is None:
                    with progress(row.name, number, seed) as hears:
                        made = maker.make(one, seed, path.with_suffix(""), hears)
                    unit = score_made(row, made, one, number, seed, perceptual)
                    write_unit(path, unit, settings, made.shape, camera)
                units.append(unit)
                if on_unit is not None:
                    on_unit(unit)
        found.append(summarise_row(row, units, camera.size))
        content = {
            "rows": found,
            "test_heads": {
                "file": chosen.source,
                "heads": list(chosen.numbers),
                "yaw_over_deg": config.yaw_over,
                "mask": config.mask,
            },
            "definitions": DEFINITIONS,
            "machine": machine("cpu"),
            "versions": versions(),
        }
        write_text(config.json, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")
    return content


def score_made(
    row: Row, made: Made, heads: HeadTruth, number: int, seed: int | None, perceptual: Perceptual | None
) -> Unit:
    """The scores of one piece."""
    camera = Camera(heads.image.shape[-1])
    return Unit(
        row=row.name,
        head=number,
        seed=seed,
        scores={**score_head(made.shape, heads, camera, perceptual), **made.facts},
        seconds=round(made.seconds, 3),
        view=tuple(made.shape.view.tolist()),
        true_view=tuple(heads.view[0].tolist()),
    )


def identity(row: Row, heads: HeadTruth) -> dict[str, Any]:
    """What tells one piece from another beside its maker's settings."""
    truth = digest(heads.depth, heads.canonical_depth, heads.normal, heads.albedo, heads.view, heads.light)
    return {
        "row": row.name,
        "photo": digest(heads.image, heads.turned_image, heads.relit_image),
        "truth": truth,
        "definitions": DEFINITIONS,
    }


def check_ours(path: Path) -> None:
    """Refuse to write the table over something else. Raises OutputError."""
    if not path.exists():
        return
    try:
        rows = json.loads(path.read_text("utf-8"))["rows"]
        ours = isinstance(rows, list) and all("name" in row for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise OutputError(f"{path} is there and is no table of `bozzetto bench heads`; use another --json.")
