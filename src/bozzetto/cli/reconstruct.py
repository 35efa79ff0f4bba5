"""`bozzetto reconstruct PHOTO|FOLDER|TAR|LIST...`"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from bozzetto.batch import each, name_folders
from bozzetto.bench.truth import read_truth
from bozzetto.cli.complain import complain
from bozzetto.cli.dry_run import describe
from bozzetto.cli.progress import Shown
from bozzetto.cli.settings import default_preset, parse_with_settings
from bozzetto.crop import parse_crop
from bozzetto.errors import BozzettoError, InputError
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.export.viewer import VIEWER
from bozzetto.general_model import GeneralModel, built_in_for, load_general
from bozzetto.ingredients import Plan
from bozzetto.inputs import find_device, find_gan, parser_with_weights, read_scenes
from bozzetto.method.schedule import phases
from bozzetto.photo_list import is_one_photo, list_photos
from bozzetto.pipeline import REFINE, plan, run
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
    dry_run: bool = False  # say what would be done and write nothing
    truth: Path | None = None  # head file (.npz) with the photo's true depth, to score the result against
    formats: tuple[str, ...] = DEFAULT_FORMATS  # what to draw into the result folder


def reconstruct(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    what = "Photos to result folders: a textured object that can be turned and relit."
    args, config, inversion = parse_with_settings(Arguments, argv, "reconstruct", what, default_preset(argv))
    photos = list_photos(args.photos)
    single = len(photos) == 1 and is_one_photo(args.photos[0])
    if len(photos) > 1:
        refuse_shared_files(args.mask, {"--latent": args.latent, "--truth": args.truth})
    crop = parse_crop(args.crop)
    gan = find_gan(args.gan, find_device(args.device), config.compute.gan_precision, args.gan_class)
    model = general_of(args.general, args.gan, args.preset, gan.device)
    if model is None and args.refine is not None:
        raise InputError("--refine begins with a general model; name one with --general, and leave --preset out.")
    jobs = list(zip(photos, folders_of(photos, args.out, single), strict=True))
    truth = None if args.truth is None else read_truth(args.truth)

    def planned(photo: Path) -> Plan:
        return plan(
            photo,
            gan,
            mask=args.mask,
            latent=args.latent,
            prior=args.prior,
            seed=args.seed,
            config=config,
            category=args.category,
            inversion=inversion,
            scenes=None if args.scenes is None else read_scenes(args.scenes),
            crop=crop,
            general=model,
            refine=args.refine,
        )

    if args.dry_run:
        return report(jobs, lambda photo, folder: describe(planned(photo), photo, folder), single)

    def work(photo: Path, folder: Path) -> Reconstruction:
        job = planned(photo)
        rows = phases(job.config, job.config.prior.shape != "none")
        with Shown(rows, "" if single else photo.name) as shown:
            return run(job, folder, args.resume, args.overwrite, shown, truth, args.formats)

    return report(jobs, work, single)


def general_of(general: str, gan: str, preset: str | None, device: torch.device) -> GeneralModel | None:
    """The general model that a fit begins with; a preset other than `refine` begins with a prior shape.

    Raises CheckpointError, and InputError where the preset and the model do not go together.
    """
    if general == "none":
        return None
    if general == "auto":
        name = built_in_for(gan) if preset in (None, REFINE) else None
        return None if name is None else load_general(name, device)
    if preset not in (None, REFINE):
        raise InputError(f"The preset '{preset}' begins with a prior shape; leave --general or --preset out.")
    return load_general(general, device)


def folders_of(photos: Sequence[Path], out: Path | None, single: bool) -> list[Path]:
    """Where the results go: a single photo's into `out` itself, others into folders of their own in it."""
    if single and out is not None:
        return [out]
    return name_folders(photos, out or RESULTS)


def report(jobs: Sequence[tuple[Path, Path]], work: Callable[[Path, Path], object], single: bool) -> int:
    """Work through the photos: folders of results, or what a dry run says, to stdout as they come; then failures."""
    failed = []
    for outcome in each(jobs, work):
        if outcome.error is None:
            if not isinstance(outcome.result, str):
                say_where_to_look(outcome.folder)
            sys.stdout.write(f"{outcome.result if isinstance(outcome.result, str) else outcome.folder}\n")
            sys.stdout.flush()
        else:
            failed.append((outcome.photo, outcome.error))
            complain(str(outcome.error) if single else f"{outcome.photo}: {outcome.error}")
    return sum_up(failed, len(jobs), single)


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
