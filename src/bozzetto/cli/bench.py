"""`bozzetto bench make-heads | steps | heads`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bozzetto.bench.heads import HeadsConfig, make_heads
from bozzetto.bench.run_heads import METHODS, SCORES, HeadsRun, run_heads
from bozzetto.bench.steps import StepsConfig, time_steps
from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Shown
from bozzetto.cli.settings import parse_with_settings
from bozzetto.export.files import write_text
from bozzetto.ingredients import Plan
from bozzetto.inputs import find_device, find_gan, read_scenes
from bozzetto.keep import Progress
from bozzetto.method.schedule import phases
from bozzetto.pipeline import plan
from bozzetto.results.provenance import plain


def bench_make_heads(argv: Sequence[str]) -> int:
    """Render heads with true depth; what is there already is not rendered again."""
    config = parse(HeadsConfig, argv, "bench make-heads", "Render heads with true depth.")
    total = config.train + config.val + config.test
    done = 0

    def told(split: str, index: int) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0 or done == total:
            sys.stderr.write(f"{done} of {total} heads\n")

    make_heads(config, told)
    sys.stdout.write(f"{config.out}\n")
    return 0


@dataclass(frozen=True)
class Steps(StepsConfig):
    json: Path = Path("results/steps.json")


def bench_steps(argv: Sequence[str]) -> int:
    """Time every step, print a table and write the JSON."""
    args = parse(Steps, argv, "bench steps", "Time every step against its plain form.")
    config = StepsConfig(**{name: getattr(args, name) for name in StepsConfig.__dataclass_fields__})

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


@dataclass(frozen=True)
class Heads(HeadsRun):
    gan: str = "heads"  # a built-in generator's name, or a file, of 64 or 128 px
    preset: str = "quick"  # schedule and weights; all flags below show this preset's values
    prior: str | None = None  # shape that the fit starts from, instead of the preset's
    category: str | None = "heads"  # what the generator is told to make pictures of
    scenes: Path | None = None  # views and lights measured by `bozzetto estimate-views`
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    overwrite: bool = False  # do finished heads again


def bench_heads(argv: Sequence[str]) -> int:
    """Score heads, print a table a head and the means, and write the JSON."""
    args, config, inversion = parse_with_settings(
        Heads, argv, "bench heads", "Score reconstructions of rendered heads."
    )
    gan = find_gan(args.gan, find_device(args.device), config.compute.gan_precision)
    scenes = None if args.scenes is None else read_scenes(args.scenes)

    def make_plan(image: Any, mask: Any) -> Plan:
        return plan(
            image,
            gan,
            mask=mask,
            prior=args.prior,
            seed=args.seed,
            config=config,
            category=args.category,
            inversion=inversion,
            scenes=scenes,
        )

    def progress(head: int, job: Plan) -> Progress:
        return Shown(phases(job.config, job.config.prior.shape != "none"), f"head {head}", terse=True)

    settings = {
        "generator_sha256": gan.info.sha256,
        "seed": args.seed,
        "category": args.category,
        "mask": args.mask,
        "prior": args.prior,
        "fit": config,
        "inversion": inversion,
        "scenes": scenes,
    }
    stored = {name: plain(value) for name, value in settings.items()}
    console = Console()
    found = run_heads(args, make_plan, stored, gan.info.resolution, args.overwrite, progress, on_head=_tell)
    chosen = [row for row in found["rows"] if args.start <= row["head"] < args.start + args.n]
    console.print(heads_table(chosen, found["summary"]))
    for name, count in found["summary"].get("beats_prior", {}).items():
        console.print(f"{name}: the result beats its prior on {count} of {len(chosen)}")
    sys.stdout.write(f"{args.json}\n")
    return 0


def _tell(row: dict[str, Any]) -> None:
    scores = "  ".join(f"{m} {row[m]['side_x100']:.2f} / {row[m]['mad_mesh_deg']:.1f}" for m in METHODS if m in row)
    sys.stderr.write(f"head {row['head']}: {scores}  ({row['seconds']:.0f} s)\n")


def heads_table(rows: list[dict[str, Any]], summary: dict[str, Any]) -> Table:
    """SIDE x 100 / MAD against the mesh's normals / MAD of normals from depth, a head and method."""
    table = Table(title="SIDE x100 / MAD to the mesh [deg] / MAD of normals from depth [deg]")
    table.add_column("head")
    methods = [m for m in METHODS if m in summary["means"]]
    for method in methods:
        table.add_column(method, justify="right")
    for row in rows:
        table.add_row(str(row["head"]), *(_cell(row[m]) for m in methods))
    table.add_section()
    table.add_row("mean", *(_cell(summary["means"][m]) for m in methods))
    return table


def _cell(scores: dict[str, float]) -> str:
    side, mesh, depth = (scores[name] for name in SCORES)
    return f"{side:.2f} / {mesh:.1f} / {depth:.1f}"


COMMANDS = {"bench make-heads": bench_make_heads, "bench steps": bench_steps, "bench heads": bench_heads}
