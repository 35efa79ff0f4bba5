"""`bozzetto reconstruct PHOTO|FOLDER|TAR|LIST...`"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from bozzetto.batch import Order, Outcome, each, name_folders, tools_of
from bozzetto.bench.truth import read_truth
from bozzetto.cli.complain import complain
from bozzetto.cli.dry_run import describe
from bozzetto.cli.fleet import Fleet
from bozzetto.cli.progress import Shown
from bozzetto.cli.settings import default_preset, parse_with_settings
from bozzetto.config import FitConfig
from bozzetto.crop import parse_crop
from bozzetto.errors import BozzettoError, InputError
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.export.viewer import VIEWER
from bozzetto.forecast import parse_memory
from bozzetto.gan.invert import InvertConfig
from bozzetto.general_model import built_in_for
from bozzetto.inputs import parser_with_weights
from bozzetto.method.schedule import phases
from bozzetto.photo_list import is_one_photo, list_photos, share_of
from bozzetto.pipeline import REFINE
from bozzetto.results import Reconstruction
from bozzetto.segment.registry import NAMES

RESULTS = Path("results")


@dataclass(frozen=True)
class Arguments:
    photos: tyro.conf.Positional[tuple[Path, ...]] = ()  # image files, folders or tars of them, lists (.txt)
    gan: str = "heads"  # a built-in generator's name, or a file
    gan_class: int | None = None  # what the photos show, if the generator knows several classes
    latent: Path | None = None  # the photo's w (.safetensors, .npy, .pt); found by inversion if not given
    mask: str = "auto"  # auto, none, alpha, another segmenter's name, or an image file that is white on the object
    prior: str | None = None  # shape that the fit starts from, instead of the preset's
    general: str = "auto"  # a general model to begin with: a name, a file, none, or auto: the generator's built-in one
    refine: int | None = None  # iterations of step 3 from the general model; 0: its preview alone, at once
    preset: str | None = None  # schedule and weights, by default refine with a general model and quick without one
    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    category: str | None = None  # what the photos show, instead of what the generator's file says
    scenes: Path | None = None  # views and lights measured by `bozzetto estimate-views`
    crop: str = "auto"  # the square of the photo: auto (finds the object), none (the middle), or x,y,size in pixels
    out: Path | None = None  # one photo: its result folder (results/NAME); several: the folder of these
    resume: bool = False  # go on where an interrupted run stopped
    overwrite: bool = False  # start over in spite of a finished or unfinished result
    max_memory: str | None = None  # such as 2G: keep the peak below it, by smaller chunks with the same result
    dry_run: bool = False  # say what would be done and write nothing
    truth: Path | None = None  # head file (.npz) with the photo's true depth, to score the result against
    share: str | None = None  # which of how many shares of the photos to do, as in 3/16: one for each job of a cluster
    engine: Literal["local", "ray"] = "local"  # one photo after another here, or many at once on a Ray cluster
    ray_address: str = "auto"  # the cluster: auto (the one this machine is part of), local (started here), host:port
    formats: tuple[str, ...] = DEFAULT_FORMATS  # what to draw into the result folder


def reconstruct(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    what = "Photos to result folders: a textured object that can be turned and relit."
    args, config, inversion = parse_with_settings(Arguments, argv, "reconstruct", what, default_preset(argv))
    photos = list_photos(args.photos)
    single = len(photos) == 1 and is_one_photo(args.photos[0])
    if len(photos) > 1:
        refuse_shared_files(args.mask, {"--latent": args.latent, "--truth": args.truth})
    jobs = list(zip(photos, folders_of(photos, args.out, single), strict=True))
    if args.share is not None:
        jobs = share_of(jobs, args.share)  # after the folders got their names, so that all shares know them alike
        if not jobs:
            sys.stderr.write("Note: there are fewer photos than shares, and none is left for this one.\n")
    order = order_of(args, config, inversion)
    if args.dry_run:
        return report(each(jobs, lambda photo, folder: describe(order.plan(photo), photo, folder)), len(jobs), single)
    if args.engine == "ray":
        if args.truth is not None:
            raise InputError("--truth is scored on this machine alone; leave --engine ray out.")
        with Fleet() as shown:
            return report(shown.outcomes(jobs, order, args.ray_address), len(jobs), single)
    tools_of(order)
    truth = None if args.truth is None else read_truth(args.truth)

    def work(photo: Path, folder: Path) -> Reconstruction:
        job = order.plan(photo)
        rows = phases(job.config, job.config.prior.shape != "none")
        with Shown(rows, "" if single else photo.name) as shown:
            return order.run(job, folder, shown, truth)

    return report(each(jobs, work), len(jobs), single)


def order_of(args: Arguments, config: FitConfig, inversion: InvertConfig) -> Order:
    """What the flags want of every photo. Raises InputError where they do not go together."""
    shaped = args.preset is None and args.prior is not None  # begins with a prior shape
    general = general_of(args.general, args.gan, "quick" if shaped else args.preset)
    if general is None and args.refine is not None:
        raise InputError("--refine begins with a general model; name one with --general, and leave --preset out.")
    return Order(
        config,
        inversion,
        gan=args.gan,
        gan_class=args.gan_class,
        latent=args.latent,
        mask=args.mask,
        prior=args.prior,
        general=general,
        refine=args.refine,
        seed=args.seed,
        device=args.device,
        category=args.category,
        scenes=args.scenes,
        crop=parse_crop(args.crop),
        formats=args.formats,
        max_memory=None if args.max_memory is None else parse_memory(args.max_memory),
        resume=args.resume,
        overwrite=args.overwrite,
    )


def general_of(general: str, gan: str, preset: str | None) -> str | None:
    """Name or file of the general model that a fit begins with; a preset other than `refine` begins with a prior shape.

    Raises InputError where the preset and the model do not go together.
    """
    if general == "none":
        return None
    if general == "auto":
        return built_in_for(gan) if preset in (None, REFINE) else None
    if preset not in (None, REFINE):
        raise InputError(f"The preset '{preset}' begins with a prior shape; leave --general or --preset out.")
    return general


def folders_of(photos: Sequence[Path], out: Path | None, single: bool) -> list[Path]:
    """Where the results go: a single photo's into `out` itself, others into folders of their own in it."""
    if single and out is not None:
        return [out]
    return name_folders(photos, out or RESULTS)


def report(outcomes: Iterable[Outcome[Any]], count: int, single: bool) -> int:
    """Tell what came of photos: result folders, or what a dry run says, to stdout as they come; then failures."""
    failed = []
    for outcome in outcomes:
        if outcome.error is None:
            if not isinstance(outcome.result, str):
                say_where_to_look(outcome.folder)
            sys.stdout.write(f"{outcome.result if isinstance(outcome.result, str) else outcome.folder}\n")
            sys.stdout.flush()
        else:
            failed.append((outcome.photo, outcome.error))
            complain(str(outcome.error) if single else f"{outcome.photo}: {outcome.error}")
    return sum_up(failed, count, single)


def say_where_to_look(folder: Path) -> None:
    """The address of the result's viewer, if it has one: most terminals open it at a click."""
    viewer = folder.absolute() / VIEWER
    if viewer.is_file():
        sys.stderr.write(f"To look at it: {viewer.as_uri()}\n")


def sum_up(failed: Sequence[tuple[Path, BozzettoError]], count: int, single: bool) -> int:
    """Name the photos that failed once more, at the end; returns the exit code."""
    if failed and not single:
        complain(f"{len(failed)} of {count} photos failed: {', '.join(str(photo) for photo, _ in failed)}.")
    return failed[0][1].exit_code if failed else 0


def refuse_shared_files(mask: str, given: Mapping[str, Path | None]) -> None:
    """One file cannot serve many photos."""
    shared = dict(given)
    if parser_with_weights(mask)[0] not in NAMES:
        shared["--mask"] = Path(mask)
    for flag, path in shared.items():
        if path is not None:
            raise InputError(f"{flag} {path} belongs to one photo and several are given; name one photo.")


COMMANDS = {"reconstruct": reconstruct}
