"""Where a study works: its photos, its generator, and the fits that all studies share, each made once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from bozzetto.bench.makers import mask_for
from bozzetto.bench.rows import find_seeds
from bozzetto.bench.score import score_head, shape_of
from bozzetto.config import FitConfig
from bozzetto.devices import find_device
from bozzetto.errors import BozzettoError, InputError, OutputError
from bozzetto.gan.generator import Gan
from bozzetto.general_model import GeneralModel
from bozzetto.ingredients import Plan
from bozzetto.inputs import find_gan
from bozzetto.keep import Interrupted, Progress
from bozzetto.pipeline import find_finished, plan, run
from bozzetto.results import Reconstruction
from bozzetto.results.folder import read_networks
from bozzetto.results.partial import partial_folder
from bozzetto.studies.job import Study, StudyJob
from bozzetto.studies.scale import scaled, studied
from bozzetto.studies.statistics_of import result_statistics
from bozzetto.studies.subjects import Subject, find_subjects

KEEP_NETWORKS = "networks.safetensors"


@dataclass(frozen=True)
class Arm:
    """One way to fit the photos."""

    name: str
    what: str
    config: FitConfig
    gan: Gan | None = None  # instead of the study's
    general: GeneralModel | None = None  # to begin with
    refine: int | None = None  # iterations from there, as in `pipeline.plan`


@dataclass(frozen=True)
class Piece:
    """One photo fitted one way with one seed."""

    arm: str
    subject: Subject
    seed: int
    scores: dict[str, float]  # of `score_head` where the truth is known, and `result_statistics`
    seconds: float
    result: Reconstruction


class Desk:
    """Everything a study's run needs."""

    def __init__(
        self,
        study: Study,
        job: StudyJob,
        told: Callable[[str], None],
        shown: Callable[[FitConfig, str], AbstractContextManager[Progress]],
    ) -> None:
        """Raises InputError and CheckpointError where something given cannot be used; writes nothing."""
        self.study, self.job, self.told, self.shown = study, job, told, shown
        self.base = scaled(studied(job.preset), job.scale, job.scale_prior)
        self.device = find_device(job.device)
        self.gan = find_gan(job.gan, self.device, self.base.compute.gan_precision)
        self.size = self.gan.info.resolution
        self.n = study.n if job.n is None else job.n
        self.seeds = find_seeds(study.seeds if job.seeds is None else job.seeds)
        self.subjects = find_subjects(job.photos, job.test_heads, job.start, self.n, self.size, job.yaw_over)
        self.fits = job.out / "fits"
        self.failed: list[str] = []

    @property
    def has_truth(self) -> bool:
        return self.subjects[0].truth is not None

    def plan(
        self,
        subject: Subject,
        config: FitConfig,
        seed: int,
        general: GeneralModel | None = None,
        gan: Gan | None = None,
        latent: Tensor | None = None,
        refine: int | None = None,
    ) -> Plan:
        """A fit that was not made yet. Raises what `pipeline.plan` does."""
        truth = subject.truth
        if truth is None and self.job.mask == "truth":
            raise InputError("--mask truth goes with the package's heads alone; name a segmenter or a mask's file.")
        return plan(
            subject.photo,
            gan or self.gan,
            mask=self.job.mask if truth is None else mask_for(self.job.mask, truth),
            latent=latent,
            seed=seed,
            config=config,
            category=self.job.category or ("heads" if self.job.photos is None else None),
            inversion=self.job.inversion,
            general=general,
            refine=refine,
        )

    def fit(self, arm: str, subject: Subject, seed: int, job: Plan, keep_networks: bool = False) -> Piece:
        """Make a fit, or read it where some study made it already.

        Raises:
            BozzettoError: it cannot be made.
            Interrupted: Ctrl-C; the same command goes on.
        """
        folder = self.folder_of(job)
        finished = find_finished(folder, job.settings())
        bare = finished is not None and not (folder / KEEP_NETWORKS).exists()
        try:
            if finished is None or (keep_networks and bare):
                with self.shown(job.config, f"{arm}, {subject.name}, seed {seed}") as progress:
                    result = run(job, folder, True, finished is not None, progress, formats=())
            else:
                result = finished
        except Interrupted as stop:
            told = f"Stopped; {partial_folder(folder)} keeps what is done: the same command goes on."
            raise Interrupted(told, stop.exit_code - 128) from stop
        if not keep_networks:
            (folder / KEEP_NETWORKS).unlink(missing_ok=True)  # the largest part, and nothing asks for it
        scores = result_statistics(result)
        if subject.truth is not None:
            scores |= score_head(shape_of(result), subject.truth, result.camera)
        found = result.provenance.config["found"]["inversion_psnr_db"]
        if found is not None:
            scores["inversion_psnr_db"] = found
        seconds = sum(result.provenance.seconds.values())
        self.told(f"{arm}, {subject.name}, seed {seed}: {short(scores)}  ({seconds:.1f} s)")
        return Piece(arm, subject, seed, scores, seconds, result)

    def folder_of(self, job: Plan) -> Path:
        """A fit's own folder, by everything that decides its result."""
        key = json.dumps(job.settings(), sort_keys=True)
        return self.fits / hashlib.sha256(key.encode()).hexdigest()[:20]

    def networks_of(self, job: Plan) -> dict[str, Tensor]:
        """The networks of a fit that was made with `keep_networks`. Raises OutputError."""
        nets = read_networks(self.folder_of(job))
        if nets is None:
            raise OutputError(f"{self.folder_of(job)} has lost its networks; delete the folder and run again.")
        return nets

    def run_arms(self, arms: list[Arm]) -> list[Piece]:
        """Every arm on every photo with every seed. Raises as `run_each`."""

        def fits(subject: Subject) -> Iterator[Piece]:
            for seed in self.seeds:
                for arm in arms:
                    job = self.plan(subject, arm.config, seed, arm.general, arm.gan, refine=arm.refine)
                    yield self.fit(arm.name, subject, seed, job)

        return self.run_each(fits)

    def leave_out(self, subject: Subject, error: BozzettoError) -> None:
        """Tell, and note for the report, that a photo failed; each photo once."""
        start = f"{subject.name} is left out: "
        if not any(text.startswith(start) for text in self.failed):
            self.failed.append(f"{start}{error}")
            self.told(self.failed[-1])

    def run_each(self, fits: Callable[[Subject], Iterable[Piece]]) -> list[Piece]:
        """Some fits of every photo; a photo that fails is told, and left out of all arms.

        Raises InputError if none is left.
        """
        pieces: list[Piece] = []
        for subject in self.subjects:
            try:
                mine = list(fits(subject))
            except BozzettoError as error:
                self.leave_out(subject, error)
                continue
            pieces += mine
        if not pieces:
            raise InputError("No photo of the study could be fitted; what was said above tells why.")
        return pieces

    def arm(self, name: str, what: str, **changes: object) -> Arm:
        """The base with some groups of settings replaced."""
        return Arm(name, what, replace(self.base, **changes))  # type: ignore[arg-type]


def short(scores: dict[str, float]) -> str:
    """The two scores that say most, in a line."""
    if "side_x100" in scores:
        return f"SIDE {scores['side_x100']:.2f}  MAD {scores['mad_depth_deg']:.1f}"
    known = [f"{name} {scores[name]:.3g}" for name in ("roughness", "photo_psnr_db") if math.isfinite(scores[name])]
    return "  ".join(known)
