"""The table of heads: every row on every head with every seed, piece by piece, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bozzetto.bench.datasets import HeadTruth, average_depth, load_packed_heads, packed_average_depth
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
    start: int = 0  # the first of them
    seeds: str = "0"  # with commas between, as in 0,1,2
    mask: str = "auto"  # a segmenter's name, or "truth"
    test_heads: Path | None = None  # packed heads (.npz) instead of those in the package
    size: int | None = None  # pixels of the packaged heads; the generator's if not given
    train_heads: Path | None = None  # folder of `bozzetto bench make-heads`, for the rows average and supervised
    json: Path = Path("results/heads.json")  # beside it: table, plot, gallery, and the finished pieces
    out: Path | None = None  # folder for the result folders, if they are to be kept


def load_test_heads(config: HeadsRun, size: int | None) -> HeadTruth:
    """The heads that are asked for, of a size if one is given.

    Raises:
        InputError: there are not so many, none of the size, or the file holds none.
    """
    packed = config.test_heads or packed_heads(size or 64)
    if config.test_heads is None and not packed.is_file():
        raise InputError(f"There are no packed test heads of {size} px; use 64 or 128, or --test-heads.")
    heads = load_packed_heads(packed)
    found = heads.image.shape[-1]
    if size not in (None, found):
        raise InputError(f"{packed} holds heads of {found} px, and {size} px are needed; give others to --test-heads.")
    if config.n < 1 or config.start < 0 or config.start + config.n > len(heads):
        raise InputError(f"There are {len(heads)} test heads of {found} px; --start and --n must stay within them.")
    return heads.take(slice(config.start, config.start + config.n))


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
    heads: HeadTruth,
    perceptual: Perceptual | None,
    overwrite: bool = False,
    progress: Callable[[str, int, int | None], AbstractContextManager[Progress]] = lambda *_: nullcontext(Quiet()),
    on_unit: Callable[[Unit], None] | None = None,
) -> dict[str, Any]:
    """Make and score what is not there yet, and write the table's JSON after every row; returns its content.

    Args:
        heads: those of the config, in order, the first being number `config.start`.
        perceptual: distance of pictures from new sides; None leaves its column out.
        progress: (row, head, seed) -> what hears of a piece that is made.
        on_unit: called with every piece, old or new.

    Raises:
        OutputError: pieces of other settings are in the way, or nothing can be written.
        Interrupted: Ctrl-C; finished pieces are kept, and fits where they are.
    """
    check_ours(config.json)
    folder = config.json.with_suffix("")
    camera = Camera(heads.image.shape[-1])
    found: list[dict[str, Any]] = []
    for row, maker in rows:
        units: list[Unit] = []
        for seed in seeds if row.seeded else [None]:
            for index in range(len(heads)):
                one, number = heads.take(index), config.start + index
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
                "file": (config.test_heads or packed_heads(camera.size)).name,
                "start": config.start,
                "n": len(heads),
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
