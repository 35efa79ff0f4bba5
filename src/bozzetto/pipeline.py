"""The method from end to end: photo -> mask -> latent -> prior -> steps 0 to 3 -> record and folder.

`reconstruct` is `plan` (everything read and checked, nothing written) and `run` (everything computed). How mask,
latent and prior are found stands in `ingredients`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bozzetto.config import FitConfig
from bozzetto.devices import find_device
from bozzetto.disk import clear, siblings
from bozzetto.errors import InputError, OutputError
from bozzetto.export.formats import DEFAULT_FORMATS, check_formats
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import InvertConfig, check_inversion
from bozzetto.general_model import GeneralModel, load_general, refining
from bozzetto.ingredients import (
    Found,
    Plan,
    factors_of,
    inversion_loss,
    latent_of,
    mask_of,
    preview_of,
    problem_of,
    texture_of,
    textured,
)
from bozzetto.inputs import (
    CropLike,
    LatentLike,
    MaskLike,
    PictureLike,
    category_of,
    check_fit,
    chooser,
    find_gan,
    find_latent,
    mask_identity,
    read_picture,
)
from bozzetto.keep import Interrupts, Keeper, Onlooker, Progress, Quiet
from bozzetto.losses.registry import make_perceptual
from bozzetto.method import instance
from bozzetto.method.guard import check_shape
from bozzetto.method.problem import Problem
from bozzetto.method.sampling import SceneDistribution, find_distribution
from bozzetto.metrics.truth import Truth, score_truth
from bozzetto.nets.networks import Networks
from bozzetto.precision import resolve
from bozzetto.presets import find_preset
from bozzetto.priors.registry import find_prior
from bozzetto.results import Provenance, Reconstruction, assemble, is_result_folder
from bozzetto.results.folder import OUR_NAMES
from bozzetto.results.partial import Partial, differences, discard_partial, held, open_partial, partial_folder
from bozzetto.results.replace import check_replaceable, recover
from bozzetto.seeds import check_seed
from bozzetto.segment.registry import Masked
from bozzetto.through_gan import fit_of, pictures_of
from bozzetto.types import Camera, DepthRange

REFINE = "refine"  # the preset of a fit that begins with a general model
FOUND = "found"  # what a run found out, kept beside its settings in the result's record


def plan(
    image: PictureLike,
    gan: str | Path | Gan = "heads",
    preset: str = "quick",
    mask: MaskLike = "auto",
    latent: LatentLike | None = None,
    prior: str | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    config: FitConfig | None = None,
    category: str | None = None,
    size: int | None = None,
    inversion: InvertConfig | None = None,
    scenes: SceneDistribution | None = None,
    crop: CropLike = "auto",
    general: str | Path | GeneralModel | None = None,
    refine: int | None = None,
) -> Plan:
    """Read and check what `reconstruct` is given; its arguments are described there. Writes nothing."""
    model = None if general is None else find_model(general, find_device(device))
    config = config or find_preset(preset if model is None else REFINE)
    if model is not None:
        config = refining(config, model, refine)
    elif refine is not None:
        raise InputError("--refine begins with a general model; name one with --general.")
    elif preset == REFINE and prior is None and config == find_preset(REFINE):
        raise InputError(f"The preset '{REFINE}' begins with a general model; name one with --general.")
    if prior is not None:
        if model is not None:
            raise InputError("A fit begins with a prior shape or with a general model; leave --prior or --general out.")
        config = replace(config, prior=replace(config.prior, shape=prior))
    find_prior(config.prior.shape)
    teacher = find_gan(gan, find_device(device), config.compute.gan_precision)
    check_fit(config, teacher.info)
    if any(stage.project > 0 for stage in config.stages):
        _ = teacher.feature_names  # step 2 compares them: complains now and not in the middle of the fit
    check_seed(seed)
    inversion = inversion or InvertConfig()
    check_inversion(inversion)
    mask_identity(mask)  # complains where there is no such file
    resolution = teacher.info.resolution
    if size not in (None, resolution):
        raise InputError(
            f"A photo is worked on at the generator's size, and '{teacher.info.name}' makes pictures of "
            f"{resolution} px, not {size}; leave the size out or use another generator."
        )
    kind = category_of(category, teacher.info)
    scenes = scenes or find_distribution(kind)
    if model is not None:
        model.check(teacher, config, scenes.views.mean)
    fine_px = config.texture_px if texture_of(config, model) == "photo" else 0
    return Plan(
        picture=read_picture(image, resolution, chooser(crop, mask, kind, teacher.info), fine_px),
        gan=teacher,
        mask=mask,
        latent=latent if latent is None else find_latent(latent, teacher.info),
        config=config,
        inversion=inversion,
        category=kind,
        scenes=scenes,
        seed=seed,
        camera=Camera(resolution),
        depth_range=DepthRange(),
        general=model,
    )


def find_model(general: str | Path | GeneralModel, device: torch.device) -> GeneralModel:
    """A general model by name, from a file, or as it is. Raises CheckpointError."""
    return general if isinstance(general, GeneralModel) else load_general(general, device)


def run(
    job: Plan,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    truth: Truth | None = None,
    formats: Iterable[str] = DEFAULT_FORMATS,
) -> Reconstruction:
    """Compute what was planned; `reconstruct` describes the arguments."""
    progress, formats, settings = progress or Quiet(), check_formats(formats), job.settings()
    folder = None if out is None else Path(out)
    if truth is not None and truth.depth.shape[-1] != job.camera.size:
        raise InputError(f"The truth is {truth.depth.shape[-1]} px wide and the result will be {job.camera.size}.")
    if folder is not None:
        recover(folder, OUR_NAMES)
    if folder is not None and not overwrite:
        finished = find_finished(folder, settings)
        if finished is not None:
            discard_partial(partial_folder(folder), settings)
            progress.on_note(f"{folder} is finished already, with these settings; --overwrite makes it anew.")
            return finished
    if folder is not None:
        check_replaceable(folder, is_result_folder)
    perceptual = make_perceptual(job.config.loss.perceptual, job.gan, job.gan.device)
    loss = inversion_loss(job.inversion, job.gan)
    partial = None if folder is None else open_partial(partial_folder(folder), settings, resume, overwrite)

    with held(partial), Interrupts(_farewell(partial)) as interrupts:
        if folder is not None:
            clear(siblings(folder, "part"))  # of a run that was killed while it wrote its result
        keeper = Keeper(partial, interrupts, progress)
        masked, mask_s = mask_of(job, partial, progress)
        preview, preview_s = _preview(job, masked, progress)
        found = _preview_found(preview, job) if job.is_preview else latent_of(job, masked.mask, partial, progress, loss)
        problem = problem_of(job, masked, found, perceptual)

        state = instance.new_state(problem, job.seed)
        if job.general is not None:
            job.general.copy_into(state.nets)
        keeper.restore(state, problem)
        keeper.current = lambda: _record(job, problem, found, state.nets)
        interrupts.patient = True
        nets = instance.fit(problem, state, keeper)
        if interrupts.asked is not None:  # a signal that came after the last iteration
            keeper.on_state(state)
        interrupts.patient = False
        interrupts.raise_if_asked()

        if preview is not None and job.is_preview:
            result = preview
        else:
            result = textured(job, _record(job, problem, found, nets))
        if state.phase:
            check_shape(result.depth, result.canonical_mask, job.depth_range)
        provenance = Provenance(
            input_name=job.picture.name,
            config={**settings, FOUND: _found_out(job, masked, found)},
            seed=job.seed,
            generator_name=job.gan.info.name,
            generator_sha256=job.gan.info.sha256,
            device=str(job.gan.device),
            seconds={"mask": mask_s, **preview_s, "inversion": found.seconds, **keeper.seconds()},
            losses=keeper.losses(),
            metrics=None if truth is None else score(result, truth),
        )
        result = replace(result, provenance=provenance)
        if folder is not None and partial is not None:
            if "gan" in formats and fit_of(result)["stages"]:
                result = replace(result, through_gan=pictures_of(result, nets.state(), job.gan))
            before = None if job.is_preview else preview
            result.save(folder, networks=nets.state(), log=keeper.log, formats=formats, preview=before)
            partial.remove()
    return result


def _preview(job: Plan, masked: Masked, progress: Progress) -> tuple[Reconstruction | None, dict[str, float]]:
    """What the general model sees at once, where there is one, and the seconds it took; onlookers see it first."""
    if job.general is None:
        return None, {}
    start = time.perf_counter()
    preview = preview_of(job, masked)
    seconds = {"preview": time.perf_counter() - start}
    if isinstance(progress, Onlooker):
        progress.on_state(lambda: preview)
    return preview, seconds


def _preview_found(preview: Reconstruction | None, job: Plan) -> Found:
    """What stands in a preview for an inversion: see `preview_of`."""
    assert preview is not None
    device = job.gan.device
    return Found(preview.latent[None].to(device), preview.inversion[None].to(device))


def reconstruct(
    image: PictureLike,
    gan: str | Path | Gan = "heads",
    preset: str = "quick",
    mask: MaskLike = "auto",
    latent: LatentLike | None = None,
    prior: str | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    config: FitConfig | None = None,
    category: str | None = None,
    size: int | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    truth: Truth | None = None,
    *,
    overwrite: bool = False,
    inversion: InvertConfig | None = None,
    scenes: SceneDistribution | None = None,
    formats: Iterable[str] = DEFAULT_FORMATS,
    crop: CropLike = "auto",
    general: str | Path | GeneralModel | None = None,
    refine: int | None = None,
) -> Reconstruction:
    """One photo to a textured object that can be turned and relit.

    Args:
        image: a path, a PIL image, or an array or tensor [3, H, W] or [H, W, 3], uint8 or float in [0, 1]; a square
            of it (`crop`) is resized to the generator's resolution S.
        gan: a built-in generator's name, a file, or a loaded `Gan`.
        preset: schedule and weights by name; `config` replaces them altogether.
        mask: auto, none, alpha or another segmenter's name; an image file, white on the object; or a tensor [S, S].
        latent: the photo's w, from a file or as a tensor [d] or [L, d]; found by inversion if not given.
        prior: shape that the fit starts from, instead of the preset's.
        seed: of everything that is drawn; on one CPU and torch version the same seed gives the same bits.
        device: auto, cpu, cuda, ...
        category: what the photo shows, instead of what the generator's file says.
        size: S, to be sure of it; another size than the generator's is refused.
        out: result folder. While it is worked on, `<out>.partial` keeps what it takes to go on.
        resume: go on with `<out>.partial` if there is one of the same settings.
        overwrite: start over in spite of an unfinished or finished result in `out`. Without it a finished result of
            the same settings is read and returned.
        progress: hears what is going on; see `keep.Progress`.
        truth: known depth to score the result against, in `provenance.metrics`.
        inversion: how the latent is found.
        scenes: views and lights of pseudo images, instead of the category's.
        formats: what to draw into the folder.
        crop: auto (the object is found in photos that are not square, or large with a small object), none (the middle
            square), or left, top and side of a square in pixels of the upright photo.
        general: a general model's name, its file, or the model: the fit begins with its networks, and stays near the
            shape that they see, by the preset `refine` unless `config` says otherwise. The folder keeps that preview.
        refine: iterations of step 3 then; 0 for the preview alone, one forward pass without latent and fit.

    Raises:
        InputError, CheckpointError, MissingExtraError: something given cannot be used.
        OutputError: the folder may not be written, or holds a result or an unfinished run that is in the way.
        FitError: the numbers went wrong.
        Interrupted: Ctrl-C (a KeyboardInterrupt), once the state is on disk.
    """
    job = plan(
        image,
        gan,
        preset,
        mask,
        latent,
        prior,
        seed,
        device,
        config,
        category,
        size,
        inversion,
        scenes,
        crop,
        general,
        refine,
    )
    return run(job, out, resume, overwrite, progress, truth, formats)


@torch.no_grad()
def _record(job: Plan, problem: Problem, found: Found, nets: Networks) -> Reconstruction:
    """The object as the networks have it now, without provenance."""
    factors = factors_of(nets, problem, job.config.texture)
    return assemble(
        problem.photo,
        found.image,
        problem.mask,
        factors,
        found.w[0],
        job.camera,
        job.depth_range,
        even=job.config.texture == "photo",
    )


def _found_out(job: Plan, masked: Masked, found: Found) -> dict[str, Any]:
    return {
        "photo_size": list(job.picture.original_size),
        "crop": job.picture.how,
        "segmenter": masked.segmenter,
        "inversion_psnr_db": found.psnr_db,
        "precision": resolve(job.config.compute.precision, job.gan.device),
        "gan_precision": job.gan.precision,
    }


def score(result: Reconstruction, truth: Truth) -> dict[str, float]:
    """The result in its photo's pose against the truth."""
    return score_truth(result.depth_posed, result.normal_posed, result.recon_mask, truth, result.camera)


def find_finished(folder: Path, settings: dict[str, Any]) -> Reconstruction | None:
    """The finished result in a folder if it has these settings; None if there is none.

    Raises:
        OutputError: it has other settings, or is damaged.
    """
    if not is_result_folder(folder):
        return None
    result = Reconstruction.load(folder)
    stored = {name: value for name, value in result.provenance.config.items() if name != FOUND}
    differing = differences(stored, settings)
    if differing:
        raise OutputError(
            f"{folder} holds a result of other settings ({', '.join(differing[:4])}); use another --out or --overwrite."
        )
    return result


def _farewell(partial: Partial | None) -> str:
    if partial is None:
        return "Stopped; nothing is kept, since no folder for the result was named."
    return f"Stopped; {partial.folder} keeps what is done: go on with the same command and --resume."
