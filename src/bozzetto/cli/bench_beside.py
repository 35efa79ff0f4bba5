"""`bozzetto bench beside`: a film and a sheet of a fitted test head beside its truth."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bozzetto.bench.beside import Motion, beside_frames, beside_sheet, check_same_photo
from bozzetto.bench.datasets import HeadTruth, load_packed_heads
from bozzetto.bench.makers import mask_for
from bozzetto.bench.run_heads import packed_heads
from bozzetto.bench.truth import truth_of
from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Shown
from bozzetto.cli.settings import default_preset
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.export.files import make_folder
from bozzetto.export.images import write_png
from bozzetto.export.options import FilmOptions
from bozzetto.export.video import WRITERS
from bozzetto.general_model import built_in_for
from bozzetto.inputs import as_bytes, find_gan
from bozzetto.method.schedule import phases
from bozzetto.pipeline import REFINE, plan, run
from bozzetto.results import Reconstruction, read


@dataclass(frozen=True)
class Arguments:
    head: int = 0  # number of the test head
    preset: str | None = None  # of the fit, by default refine with a built-in general model and quick without one
    result: Path | None = None  # a result folder of that head, drawn instead of a fit
    gan: str = "heads"  # a built-in generator's name, or a file, of the heads' size
    mask: str = "auto"  # a segmenter's name, or "truth"
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    test_heads: Path | None = None  # packed heads (.npz) instead of those in the package
    out: Path = Path("results/beside")  # folder of film and sheet, and of the head's result folder
    film: Literal["webp", "gif", "mp4"] = "webp"  # its kind
    path: Motion = "turn"  # the heads turn, or a lamp goes round them
    size: int = 192  # of each of its three pictures, pixels
    seconds: float = 3.0
    fps: int = 12  # frames a second


def bench_beside(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    args = parse(Arguments, argv, "bench beside", "A film and a sheet of a fitted test head beside its truth.")
    film = FilmOptions(args.size, args.seconds, args.fps)
    stem = args.out / f"head_{args.head:03d}"
    if args.result is not None:
        result = read(args.result)
        head = the_head(args.test_heads, args.head, result.size)
    else:
        result, head = fitted(args, stem, args.preset or default_preset(argv))
    check_same_photo(result, head)
    large = the_large_head(args, head)
    make_folder(args.out)
    scores = {"MAD": "mad_depth_deg", "SIDE x100": "side_x100"}
    known = result.provenance.metrics or {}
    note = "   ".join(f"{title} {known[name]:.2f}" for title, name in scores.items() if name in known)
    sheet = write_png(beside_sheet(result, head, f"Test head {args.head}", note, large), Path(f"{stem}_sheet.png"))
    suffix = f".{args.film}"
    name = Path(f"{stem}{'' if args.path == 'turn' else f'_{args.path}'}{suffix}")
    shown = WRITERS[suffix](beside_frames(result, head, film.count, film.size, args.path, large), name, film.fps)
    for path in (sheet, shown):
        sys.stdout.write(f"{path}\n")
    return 0


def the_head(packed: Path | None, number: int, size: int) -> HeadTruth:
    """One head of a packed file, or of the package's own of that size. Raises InputError where there is none."""
    file = packed or packed_heads(size)
    if packed is None and not file.is_file():
        raise InputError(f"There are no packed test heads of {size} px; give some to --test-heads.")
    heads = load_packed_heads(file)
    if heads.image.shape[-1] != size:
        raise InputError(f"{file} holds heads of {heads.image.shape[-1]} px, and {size} px are needed; give others.")
    if not 0 <= number < len(heads):
        raise InputError(f"There is no test head {number}; give --head a number from 0 to {len(heads) - 1}.")
    return heads.take(number)


def the_large_head(args: Arguments, head: HeadTruth) -> HeadTruth | None:
    """The same head at twice the pixels, where it is one of the package's own and there is such a rendering."""
    file = packed_heads(2 * head.image.shape[-1])
    if args.test_heads is not None or not file.is_file():
        return None
    return the_head(None, args.head, 2 * head.image.shape[-1])


def fitted(args: Arguments, folder: Path, preset: str) -> tuple[Reconstruction, HeadTruth]:
    """The head's result in `folder`, made if it is not there, and the head. Raises as `pipeline.plan` and `run` do."""
    gan = find_gan(args.gan, find_device(args.device), "fp32")
    head = the_head(args.test_heads, args.head, gan.info.resolution)
    general = built_in_for(args.gan) if preset == REFINE else None
    photo, mask = head.image[0], mask_for(args.mask, head)
    job = plan(photo, gan, preset, mask=mask, seed=args.seed, device=args.device, general=general)
    large = the_large_head(args, head)
    if large is not None and job.config.texture == "photo":  # as if the photo had been the large one
        job = replace(job, picture=replace(job.picture, fine=as_bytes(large.image[0])))
    with Shown(phases(job.config, job.config.prior.shape != "none"), f"head {args.head}") as shown:
        return run(job, folder, resume=True, progress=shown, truth=truth_of(head), formats=()), head


COMMANDS = {"bench beside": bench_beside}
