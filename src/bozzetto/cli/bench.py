"""`bozzetto bench make-heads | make-animals | steps | gan | ensemble | memory | heads`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from bozzetto.bench.animals import AnimalsConfig
from bozzetto.bench.ensemble import EnsembleConfig, time_ensemble
from bozzetto.bench.gallery import write_gallery
from bozzetto.bench.gan_speed import GanSpeedConfig, time_gan
from bozzetto.bench.heads import HeadsConfig
from bozzetto.bench.make_set import SetConfig, make_set
from bozzetto.bench.memory import MemoryConfig, measure_memory
from bozzetto.bench.plot import write_plot
from bozzetto.bench.rows import PERFECT, find_rows, find_seeds
from bozzetto.bench.run_heads import run_heads, with_set
from bozzetto.bench.steps import StepsConfig, time_steps
from bozzetto.bench.summary import SCORES
from bozzetto.bench.table import cell, markdown, number
from bozzetto.bench.units import Unit
from bozzetto.cli.bench_rows import Bench, Heads
from bozzetto.cli.parse import parse
from bozzetto.cli.settings import parse_with_settings
from bozzetto.devices import find_device
from bozzetto.errors import InputError, MissingExtraError
from bozzetto.export.files import write_text
from bozzetto.losses.perceptual import Perceptual
from bozzetto.losses.stlpips import MIN_SIZE, make_stlpips
from bozzetto.presets import find_preset

Part = TypeVar("Part")

WIDTH = 110  # characters of a table that goes to a file or a pipe


def bench_make_heads(argv: Sequence[str]) -> int:
    """Render heads of people with true depth; what is there already is not rendered again."""
    return _make(parse(HeadsConfig, argv, "bench make-heads", "Render heads of people with true depth."))


def bench_make_animals(argv: Sequence[str]) -> int:
    """Render heads of animals with true depth; what is there already is not rendered again."""
    return _make(parse(AnimalsConfig, argv, "bench make-animals", "Render heads of animals with true depth."))


def _make(config: SetConfig) -> int:
    total = config.train + config.val + config.test
    done = 0

    def told(split: str, index: int) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0 or done == total:
            sys.stderr.write(f"{done} of {total} heads\n")

    make_set(config, told)
    sys.stdout.write(f"{config.out}\n")
    return 0


def part_of(args: Any, kind: type[Part]) -> Part:
    """A command's arguments without those that are its own."""
    return kind(**{name: getattr(args, name) for name in kind.__dataclass_fields__})  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Steps(StepsConfig):
    json: Path = Path("results/steps.json")


def bench_steps(argv: Sequence[str]) -> int:
    """Time every step, print a table and write the JSON."""
    args = parse(Steps, argv, "bench steps", "Time every step against its plain form.")
    config = part_of(args, StepsConfig)

    def told(turn: int) -> None:
        sys.stderr.write(f"turn {turn} of {config.repeats}\n")

    found = time_steps(config, told)
    write_text(args.json, json.dumps(found, indent=2, allow_nan=False) + "\n")
    table = Table(title=f"milliseconds an iteration, {config.size} px, Np {config.np}")
    for name in ("step", "ours", "plain", "ratio"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for row in found["rows"]:
        table.add_row(row["step"], f"{row['ms']:.1f}", f"{row['ms_plain']:.1f}", f"{row['ratio']:.2f}")
    Console().print(table)
    sys.stdout.write(f"{args.json}\n")
    return 0


def turns_told(total: int) -> Callable[[int], None]:
    """What hears of every turn of a timing, and says so on stderr."""

    def told(turn: int) -> None:
        sys.stderr.write(f"turn {turn} of {total}\n")

    return told


def times_table(title: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as they are; the first column is words, the others numbers."""
    table = Table(title=title)
    for name in names:
        table.add_column(name, justify="left" if name == names[0] else "right")
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    return table


@dataclass(frozen=True)
class GanSpeed(GanSpeedConfig):
    json: Path = Path("results/gan_speed.json")


def bench_gan(argv: Sequence[str]) -> int:
    """Time a generator against its plain form, print a table and write the JSON."""
    args = parse(GanSpeed, argv, "bench gan", "Time a generator, and its training, against its plain form.")
    config = part_of(args, GanSpeedConfig)
    found = time_gan(config, turns_told(config.repeats + 1))
    write_text(args.json, json.dumps(found, indent=2, allow_nan=False) + "\n")
    names = ("what", "ms_plain", "ms_fp32", "ms_bf16", "ratio_fp32", "ratio_bf16")
    what = f"{config.size} px, batch {config.batch}"
    Console().print(times_table(f"milliseconds forward and backward, {what}", names, found["rows"]))
    if "training" in found:
        sys.stdout.write(f"training: {found['training']['images_per_s']} images/s\n")
    sys.stdout.write(f"{args.json}\n")
    return 0


@dataclass(frozen=True)
class Ensemble(EnsembleConfig):
    json: Path = Path("results/ensemble.json")


def bench_ensemble(argv: Sequence[str]) -> int:
    """Time photos' own networks apart and as one batched program, print a table and write the JSON."""
    args = parse(Ensemble, argv, "bench ensemble", "Time photos' own networks one after another and all at once.")
    config = part_of(args, EnsembleConfig)
    found = time_ensemble(config, turns_told(config.repeats + 1))
    write_text(args.json, json.dumps(found, indent=2, allow_nan=False) + "\n")
    names = ("network", "ms_apart", "ms_together", "ratio")
    what = f"{config.photos} photos of {config.size} px, Np {config.batch}"
    Console().print(times_table(f"milliseconds forward and backward, {what}", names, found["rows"]))
    sys.stdout.write(f"{args.json}\n")
    return 0


@dataclass(frozen=True)
class Memory(MemoryConfig):
    json: Path = Path("results/memory.json")


def bench_memory(argv: Sequence[str]) -> int:
    """Measure peaks beside predicted ones, print a table and write the JSON."""
    args = parse(Memory, argv, "bench memory", "Predicted and measured peak memory of short reconstructions.")
    config = part_of(args, MemoryConfig)

    def told(row: dict[str, Any]) -> None:
        what = f"{row['size']} px, {row['preset']}, Np {row['np']}, chunk {row['chunk']}"
        sys.stderr.write(f"{what}: {row['predicted_mb']} MB predicted, {row['measured_mb']} MB measured\n")

    found = measure_memory(config, told)
    write_text(args.json, json.dumps(found, indent=2, allow_nan=False) + "\n")
    table = Table(title="peak memory, MB")
    names = ("size", "preset", "np", "chunk", "phase", "predicted_mb", "measured_mb", "ratio")
    for name in names:
        table.add_column(name)
    for row in found["rows"]:
        table.add_row(*(str(row[name]) for name in names))
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH)).print(table)
    sys.stdout.write(f"{args.json}\n")
    return 0


def bench_heads(argv: Sequence[str]) -> int:
    """Score heads, print the table, and write JSON, Markdown, plot and galleries."""
    what = "Score reconstructions of rendered heads."
    args, config, inversion = parse_with_settings(Heads, argv, "bench heads", what)
    args = with_set(args)
    rows, seeds = find_rows(args.rows), find_seeds(args.seeds)
    names = {row.name for row in rows}
    if "fit" not in names and (config != find_preset(args.preset) or args.prior is not None):
        raise InputError("A fit's own numbers belong to the row `fit`; name it in --rows, or leave the flags out.")
    needs_gan = any(row.kind in ("fit", "general") for row in rows)
    bench = Bench(args, config, inversion, find_device(args.device), needs_gan)
    done: dict[str, list[Unit]] = {}

    def told(unit: Unit) -> None:
        done.setdefault(unit.row, []).append(unit)
        seed = "" if unit.seed is None else f" seed {unit.seed}"
        scores = f"SIDE {unit.scores['side_x100']:.2f}  MAD {unit.scores['mad_depth_deg']:.1f}"
        sys.stderr.write(f"{unit.row}{seed} head {unit.head}: {scores}  ({unit.seconds:.1f} s)\n")

    found = run_heads(
        args,
        [(row, bench.maker(row)) for row in rows],
        seeds,
        bench.chosen,
        novel_distance(bench.size),
        args.overwrite,
        bench.progress,
        told,
    )
    console = Console()
    # A file or a pipe has no width of its own; the names of rows and columns would be cut to nothing.
    (console if console.is_terminal else Console(width=WIDTH)).print(heads_table(found["rows"]))
    folder = args.json.with_suffix("")
    pictures = [write_plot(found["rows"], args.json.with_suffix(".png"))]
    for name, units in done.items():
        if name != PERFECT:
            path = folder / "gallery" / f"{name.replace(':', '-')}.png"
            pictures.append(write_gallery(name, units, bench.chosen.heads, bench.chosen.numbers, folder, path))
    write_text(args.json.with_suffix(".md"), markdown(found))
    for path in (*pictures, args.json.with_suffix(".md"), args.json):
        sys.stdout.write(f"{path}\n")
    return 0


def novel_distance(size: int) -> Perceptual | None:
    """The distance of pictures from new sides; None, and a note, where it is not installed."""
    try:
        return make_stlpips() if size >= MIN_SIZE else None
    except MissingExtraError as error:
        sys.stderr.write(f"Note: no perceptual distance of novel views; {str(error)[0].lower()}{str(error)[1:]}\n")
        return None


def heads_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What matters most, for the terminal; the Markdown has all."""
    table = Table(title="mean ± sd over heads (± sd over seeds)")
    table.add_column("row", no_wrap=True)
    sides = max(row["yaw25_n"] for row in rows)
    titles = ("n", "SIDE x100", "MAD, deg", "publ. MAD", "cover", f"{sides} side faces", "s a photo")
    for title in titles:
        table.add_column(title, justify="right")
    scores = {score.name: score for score in SCORES}
    for row in rows:
        table.add_row(
            row["name"],
            str(row["n"]),
            cell(row, scores["side"], 2),
            cell(row, scores["mad"], 1),
            number(row["mad_published_mean"], 1),
            number(row["coverage_mean"], 2),
            f"{number(row['yaw25_side_mean'], 2)} / {number(row['yaw25_mad_mean'], 1)}",
            number(row["seconds_mean"], 1),
        )
    return table


COMMANDS = {
    "bench make-heads": bench_make_heads,
    "bench make-animals": bench_make_animals,
    "bench steps": bench_steps,
    "bench gan": bench_gan,
    "bench ensemble": bench_ensemble,
    "bench heads": bench_heads,
    "bench memory": bench_memory,
}
