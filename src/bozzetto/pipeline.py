"""The method from end to end: photo -> mask -> latent -> prior -> steps 0 to 3 -> record and folder.

`reconstruct` is `plan` (everything read and checked, nothing written) and `run` (everything computed).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import FitConfig
from bozzetto.errors import BozzettoError, InputError, OutputError
from bozzetto.export.formats import DEFAULT_FORMATS, check_formats
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import InvertConfig, invert
from bozzetto.inputs import (
    LatentLike,
    MaskLike,
    Picture,
    PictureLike,
    category_of,
    check_fit,
    digest,
    find_device,
    find_gan,
    find_latent,
    find_mask,
    mask_identity,
    read_picture,
)
from bozzetto.keep import Interrupts, Keeper, Progress, Quiet
from bozzetto.losses.perceptual import Perceptual
from bozzetto.losses.registry import make_perceptual
from bozzetto.method import instance
from bozzetto.method.problem import Problem, predict
from bozzetto.method.sampling import SceneDistribution, find_distribution
from bozzetto.method.turn import turn
from bozzetto.metrics.truth import Truth, score_truth
from bozzetto.presets import find_preset
from bozzetto.priors.registry import find_prior, prior_depth
from bozzetto.results import Provenance, Reconstruction, assemble, is_result_folder
from bozzetto.results.partial import Partial, differences, open_partial, partial_folder
from bozzetto.results.provenance import plain
from bozzetto.results.replace import check_replaceable
from bozzetto.segment.registry import Masked
from bozzetto.types import Camera, DepthRange

FOUND = "found"  # what a run found out, kept beside its settings in the result's record


@dataclass(frozen=True)
class Plan:
    """One photo's reconstruction, checked and ready to run."""

    picture: Picture
    gan: Gan
    mask: MaskLike
    latent: Float[Tensor, "1 l d"] | None  # None: by inversion
    config: FitConfig
    inversion: InvertConfig
    category: str
    scenes: SceneDistribution
    seed: int
    camera: Camera
    depth_range: DepthRange

    def settings(self) -> dict[str, Any]:
        """All that decides the result, as plain JSON: two runs of equal settings have equal results."""
        given = None if self.latent is None else digest(self.latent)
        settings = {
            "photo_sha256": self.picture.sha256,
            "generator_sha256": self.gan.info.sha256,
            "seed": self.seed,
            "category": self.category,
            "mask": mask_identity(self.mask),
            "latent": given,
            "inversion": self.inversion if given is None or self.config.turn.use else None,
            "fit": self.config,
            "scenes": self.scenes,
        }
        return {name: plain(value) for name, value in settings.items()}


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
) -> Plan:
    """Read and check what `reconstruct` is given; its arguments are described there. Writes nothing."""
    config = config or find_preset(preset)
    if prior is not None:
        config = replace(config, prior=replace(config.prior, shape=prior))
    find_prior(config.prior.shape)
    teacher = find_gan(gan, find_device(device), config.compute.gan_precision)
    check_fit(config, teacher.info)
    resolution = teacher.info.resolution
    if size not in (None, resolution):
        raise InputError(
            f"A photo is worked on at the generator's size, and '{teacher.info.name}' makes pictures of "
            f"{resolution} px, not {size}; leave the size out or use another generator."
        )
    kind = category_of(category, teacher.info)
    return Plan(
        picture=read_picture(image, resolution),
        gan=teacher,
        mask=mask,
        latent=latent if latent is None else find_latent(latent, teacher.info),
        config=config,
        inversion=inversion or InvertConfig(),
        category=kind,
        scenes=scenes or find_distribution(kind),
        seed=seed,
        camera=Camera(resolution),
        depth_range=DepthRange(),
    )


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
    if folder is not None and not overwrite:
        finished = find_finished(folder, settings)
        if finished is not None:
            progress.on_note(f"{folder} is finished already, with these settings; --overwrite makes it anew.")
            return finished
    if folder is not None:
        check_replaceable(folder, is_result_folder)
    perceptual = make_perceptual(job.config.loss.perceptual, job.gan, job.gan.device)
    partial = None if folder is None else open_partial(partial_folder(folder), settings, resume, overwrite)

    with Interrupts(_farewell(partial)) as interrupts:
        keeper = Keeper(partial, interrupts, progress)
        masked, mask_s = mask_of(job, partial, progress)
        found = latent_of(job, masked.mask, partial, progress)
        problem = problem_of(job, masked, found, perceptual)

        state = instance.new_state(problem, job.seed)
        keeper.restore(state, problem)
        interrupts.patient = True
        nets = instance.fit(problem, state, keeper)
        interrupts.patient = False
        interrupts.raise_if_asked()

        with torch.no_grad():
            factors = predict(nets, problem)
        result = assemble(problem.photo, found.image, problem.mask, factors, found.w[0], job.camera, job.depth_range)
        provenance = Provenance(
            input_name=job.picture.name,
            config={**settings, FOUND: {"segmenter": masked.segmenter, "inversion_psnr_db": found.psnr_db}},
            seed=job.seed,
            generator_name=job.gan.info.name,
            generator_sha256=job.gan.info.sha256,
            device=str(job.gan.device),
            seconds={"mask": mask_s, "inversion": found.seconds, **keeper.seconds()},
            losses=keeper.losses(),
            metrics=None if truth is None else score(result, truth),
        )
        result = replace(result, provenance=provenance)
        if folder is not None and partial is not None:
            result.save(folder, networks=nets.state(), log=keeper.log, formats=formats)
            partial.remove()
    return result


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
) -> Reconstruction:
    """One photo to a textured object that can be turned and relit.

    Args:
        image: a path, a PIL image, or an array or tensor [3, H, W] or [H, W, 3], uint8 or float in [0, 1]; its middle
            square is resized to the generator's resolution S.
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

    Raises:
        InputError, CheckpointError, MissingExtraError: something given cannot be used.
        OutputError: the folder may not be written, or holds a result or an unfinished run that is in the way.
        FitError: the numbers went wrong.
        Interrupted: Ctrl-C (a KeyboardInterrupt), once the state is on disk.
    """
    job = plan(image, gan, preset, mask, latent, prior, seed, device, config, category, size, inversion, scenes)
    return run(job, out, resume, overwrite, progress, truth, formats)


# ---------------------------------------------------------------- the parts, in order


def mask_of(job: Plan, partial: Partial | None, progress: Progress) -> tuple[Masked, float]:
    """The object's mask and the seconds it took, from the working folder if it is there already."""
    kept = partial.load("mask.safetensors") if partial else None
    if kept:
        tensors, facts = kept
        return Masked(tensors["mask"], tensors["score"], facts["segmenter"], facts["note"]), facts["seconds"]
    start = time.perf_counter()
    try:
        masked = find_mask(job.mask, job.picture, job.category)
    except BozzettoError:
        if partial:
            partial.remove()  # nothing is in it yet
        raise
    masked = replace(masked, mask=masked.mask.contiguous(), score=masked.score.contiguous())
    seconds = time.perf_counter() - start
    if masked.note:
        progress.on_note(masked.note)
    if partial:
        facts = {"segmenter": masked.segmenter, "note": masked.note, "seconds": seconds}
        partial.save("mask.safetensors", {"mask": masked.mask, "score": masked.score}, facts)
    return masked, seconds


class Found(NamedTuple):
    """A latent and the picture that the generator makes of it."""

    w: Float[Tensor, "1 l d"]
    image: Float[Tensor, "1 3 s s"]  # [0, 1]
    mirror_w: Float[Tensor, "1 l d"] | None = None  # of the mirrored photo, where the settings ask for it
    psnr_db: float | None = None  # of an inversion
    seconds: float = 0.0


def latent_of(job: Plan, mask: Float[Tensor, "1 1 s s"], partial: Partial | None, progress: Progress) -> Found:
    """The photo's latent, as given or by inversion, from the working folder if it is there already."""
    device, turns = job.gan.device, job.config.turn.use
    if job.latent is not None and not turns:
        w = job.latent.to(device)
        return Found(w, picture_of(w, job.gan))
    kept = partial.load("inversion.safetensors") if partial else None
    if kept:
        tensors, facts = kept
        return _found({name: tensor.to(device) for name, tensor in tensors.items()}, facts)
    generator = torch.Generator().manual_seed(job.seed)
    photo = job.picture.image[None].to(device)
    mask = mask.to(device)
    # Without a given latent the photo comes first; where the object is turned, its mirror image is the last one.
    photos = ([] if job.latent is not None else [photo]) + ([photo.flip(3)] if turns else [])
    masks = ([] if job.latent is not None else [mask]) + ([mask.flip(3)] if turns else [])
    found = invert(
        torch.cat(photos),
        job.gan,
        job.inversion,
        generator=generator,
        progress=progress.on_inversion,
        mask=torch.cat(masks),
    )
    progress.on_inversion(job.inversion.steps, job.inversion.steps, {"psnr_db": float(found.psnr_db.mean())})
    w = found.w[:1] if job.latent is None else job.latent.to(device)
    tensors = {"w": w, "image": picture_of(w, job.gan)}
    if turns:
        tensors["mirror_w"] = found.w[-1:]
    # Laid out as a file gives them back: sums may round otherwise in another layout.
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    facts = {"psnr_db": float(found.psnr_db[0]) if job.latent is None else None, "seconds": found.seconds}
    if partial:
        partial.save("inversion.safetensors", tensors, facts)
    return _found(tensors, facts)


def _found(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Found:
    """What was kept of an inversion, as a record."""
    return Found(tensors["w"], tensors["image"], tensors.get("mirror_w"), facts["psnr_db"], facts["seconds"])


@torch.no_grad()
def picture_of(w: Float[Tensor, "1 l d"], gan: Gan) -> Float[Tensor, "1 3 s s"]:
    """G(w) in [0, 1]."""
    return (gan.image_from_w(w) / 2 + 0.5).clamp(0, 1)


def prior_of(job: Plan, masked: Masked) -> Float[Tensor, "1 1 s s"] | None:
    """The shape the fit starts from, made of the mask or of the segmenter's score; None for no shape."""
    row = find_prior(job.config.prior.shape)
    if not row.has_shape:
        return None
    outline = masked.score if row.reads == "score" else masked.mask
    if not job.config.turn.use:
        return prior_depth(row.name, outline, job.depth_range, job.category)
    # The canonical frame is the frontal one: the prior is that of either side's outline, and as even as the object.
    widest = torch.maximum(outline, outline.flip(3))
    shape = prior_depth(row.name, widest, job.depth_range, job.category)
    return (shape + shape.flip(3)) / 2


def problem_of(job: Plan, masked: Masked, found: Found, perceptual: Perceptual | None) -> Problem:
    """What the fit is given."""
    device, prior = job.gan.device, prior_of(job, masked)
    photo, mask, w = job.picture.image[None].to(device), masked.mask.to(device), found.w.detach()
    prior = None if prior is None else prior.to(device)
    turned = None
    if found.mirror_w is not None and prior is not None:
        turned = turn(photo, mask, w, found.mirror_w, prior, job.gan, job.camera, job.depth_range, job.config.turn)
    return Problem(
        photo=photo,
        mask=mask,
        latent=w,
        prior=prior,
        turned=turned,
        gan=job.gan,
        perceptual=perceptual,
        scenes=job.scenes,
        camera=job.camera,
        depth_range=job.depth_range,
        config=job.config,
    )


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
