"""What a reconstruction is made of: its plan, then mask, latent, prior and problem, each found from those before.

Mask and latent take their time and are kept in the working folder.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import ComputeConfig, FitConfig
from bozzetto.errors import BozzettoError, InputError
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import Inversion, InvertConfig, invert, judge_inversion
from bozzetto.gan.invert_loss import masked_mean
from bozzetto.gan.start import StartTable, at_once, start_table
from bozzetto.gan.whiten import whitening
from bozzetto.general_model import GeneralModel
from bozzetto.inputs import MaskLike, Picture, digest, find_mask, mask_identity
from bozzetto.keep import Progress
from bozzetto.losses.perceptual import Perceptual
from bozzetto.losses.registry import make_perceptual
from bozzetto.method.chunks import pieces
from bozzetto.method.problem import Problem, predict, predict_depth
from bozzetto.method.sampling import SceneDistribution
from bozzetto.method.turn import Yaw, turn, yaw_of_generator
from bozzetto.nets.networks import Networks
from bozzetto.priors.registry import find_prior, prior_depth
from bozzetto.results import Reconstruction, assemble
from bozzetto.results.carried import photo_albedo
from bozzetto.results.fine import photo_texture
from bozzetto.results.partial import Partial
from bozzetto.results.provenance import plain
from bozzetto.segment.registry import Masked
from bozzetto.segment.segmenter import covers_everything, mask_problem
from bozzetto.types import Camera, DepthRange, Factors

JUDGES = ("poor_db", "hopeless_db")  # of the inversion's settings: they decide whether there is a result, not which


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
    general: GeneralModel | None = None  # what the fit starts from, instead of a prior shape

    @property
    def is_preview(self) -> bool:
        """Whether the general model alone makes the result: no latent, no fit."""
        return self.general is not None and not self.config.stages

    def settings(self) -> dict[str, Any]:
        """All that decides the result, as plain JSON: two runs of equal settings have equal results."""
        given = None if self.latent is None else digest(self.latent)
        inversion = {k: plain(v) for k, v in asdict(self.inversion).items() if k not in JUDGES}
        settings = {
            "photo_sha256": self.picture.sha256,
            "crop": self.picture.square,
            "generator_sha256": self.gan.info.sha256,
            "seed": self.seed,
            "category": self.category,
            "mask": mask_identity(self.mask),
            "latent": given,
            "inversion": inversion if given is None or self.config.turn.use else None,
            "fit": self.config,
            "scenes": self.scenes,
        }
        if self.general is not None:
            settings["general_sha256"] = self.general.sha256
        found = {name: plain(value) for name, value in settings.items()}
        return {**found, "fit": _that_matter(self.config)}


def _that_matter(config: FitConfig) -> dict[str, Any]:
    """Settings of a fit as JSON, less what changes no bit of its result; results from before chunks are the same."""
    fit: Any = plain(config)
    compute = fit["compute"]
    del compute["keep_mb"]
    if compute["chunk"] == 0:
        del compute["chunk"]
    if fit["project"]["teacher"] == "generator":  # results from before there was a choice are the same
        del fit["project"]["teacher"]
    if fit["texture_px"] == FitConfig.texture_px or fit["texture"] == "network":  # the same, or not looked at
        del fit["texture_px"]
    if fit["texture"] == "network":  # the same
        del fit["texture"]
    return fit


def mask_of(job: Plan, partial: Partial | None, progress: Progress) -> tuple[Masked, float]:
    """The object's mask and the seconds it took, from the working folder if it is there already."""
    kept = partial.load("mask.safetensors") if partial else None
    if kept:
        tensors, facts = kept
        return Masked(tensors["mask"], tensors["score"], facts["segmenter"], facts["note"]), facts["seconds"]
    start = time.perf_counter()
    try:
        masked = find_mask(job.mask, job.picture, job.category)
        require_object(masked)
    except BozzettoError:
        if partial:
            partial.remove()  # nothing is in it yet
        raise
    masked = replace(masked, mask=masked.mask.contiguous(), score=masked.score.contiguous())
    seconds = time.perf_counter() - start
    for note in (job.picture.note, masked.note):
        if note:
            progress.on_note(note)
    if partial:
        facts = {"segmenter": masked.segmenter, "note": masked.note, "seconds": seconds}
        partial.save("mask.safetensors", {"mask": masked.mask, "score": masked.score}, facts)
    return masked, seconds


def require_object(masked: Masked) -> None:
    """Raise InputError for a mask that is empty or no mask; one that covers everything serves, with its note."""
    problem = mask_problem(masked.mask[0])
    if problem is not None and not covers_everything(masked.mask[0]):
        raise InputError(
            f"{problem.removesuffix('.')}, so there is nothing to fit; name another segmenter or a mask file with "
            "--mask, or take the whole photo with --mask none."
        )


class Found(NamedTuple):
    """A latent and the picture that the generator makes of it."""

    w: Float[Tensor, "1 l d"]
    image: Float[Tensor, "1 3 s s"]  # [0, 1]
    mirror_w: Float[Tensor, "1 l d"] | None = None  # of the mirrored photo, where the settings ask for it
    yaw: Yaw | None = None  # how the generator turns its objects, the same
    psnr_db: float | None = None  # of an inversion
    seconds: float = 0.0


def inversion_loss(config: InvertConfig, gan: Gan) -> tuple[InvertConfig, Perceptual | None]:
    """The config with the perceptual distance that it names; the discriminator's features are the inversion's own.

    Raises InputError, CheckpointError, MissingExtraError as `make_perceptual` does.
    """
    if config.perceptual == "discriminator":
        return config, None
    return replace(config, feature_weight=0.0), make_perceptual(config.perceptual, gan, gan.device)


def latent_of(
    job: Plan,
    mask: Float[Tensor, "1 1 s s"],
    partial: Partial | None,
    progress: Progress,
    loss: tuple[InvertConfig, Perceptual | None],
) -> Found:
    """The photo's latent, as given or by inversion, from the working folder if it is there already.

    loss: what `inversion_loss` made.
    Raises FitError where the inversion is too poor to go on with.
    """
    device, turns = job.gan.device, job.config.turn.use
    if job.latent is not None and not turns:
        w = job.latent.to(device)
        return _given(job, Found(w, picture_of(w, job.gan)), mask, progress)
    found = _found_or_kept(job, mask, partial, progress, loss)
    if found.psnr_db is None:
        return _given(job, found, mask, progress)
    note = judge_inversion(found.psnr_db, job.inversion, job.gan.info.name)
    if note:
        progress.on_note(note)
    if found.yaw is not None and not found.yaw.turns:
        progress.on_note(
            f"The generator '{job.gan.info.name}' hardly turns its objects; --turn.wide-deg adds no pictures."
        )
    return found


def _given(job: Plan, found: Found, mask: Tensor, progress: Progress) -> Found:
    """Say so where a latent that was given makes a picture far from the photo."""
    error = (found.image - job.picture.image[None].to(found.image)).square()
    psnr_db = -10 * float(masked_mean(error, mask.to(error)).clamp(min=1e-10).log10())
    if not psnr_db >= job.inversion.poor_db:
        progress.on_note(
            f"The given latent's picture is far from the photo (PSNR {psnr_db:.1f} dB); it may be of another photo, "
            "crop or generator."
        )
    return found


def _found_or_kept(
    job: Plan,
    mask: Float[Tensor, "1 1 s s"],
    partial: Partial | None,
    progress: Progress,
    loss: tuple[InvertConfig, Perceptual | None],
) -> Found:
    """By inversion, of the mirrored photo alone where the latent is given; or as it was kept."""
    device, turns = job.gan.device, job.config.turn.use
    kept = partial.load("inversion.safetensors") if partial else None
    if kept:
        tensors, facts = kept
        return _found({name: tensor.to(device) for name, tensor in tensors.items()}, facts)
    photo = job.picture.image[None].to(device)
    mask = mask.to(device)
    # Without a given latent the photo comes first; where the object is turned, its mirror image is the last one.
    photos = ([] if job.latent is not None else [photo]) + ([photo.flip(3)] if turns else [])
    masks = ([] if job.latent is not None else [mask]) + ([mask.flip(3)] if turns else [])
    generator = torch.Generator().manual_seed(job.seed)
    table = start_table(
        job.gan,
        whitening(job.gan),
        generator,
        loss[0].start_samples,
        started_at_once(job.config.compute, job.gan.info.resolution),
    )
    found = _inverted(job, photos, masks, progress, loss, table, generator)
    psnr_db = torch.cat([part.psnr_db for part in found])
    progress.on_inversion(job.inversion.steps, job.inversion.steps, {"psnr_db": float(psnr_db.mean())})
    w = found[0].w[:1] if job.latent is None else job.latent.to(device)
    tensors = {"w": w, "image": picture_of(w, job.gan)}
    if turns:
        tensors["mirror_w"] = found[-1].w[-1:]
        yaw = yaw_of(job, table)
        if yaw is not None:
            tensors |= {"yaw": yaw.direction, "yaw_rad": torch.tensor(yaw.rad)}
    # Laid out as a file gives them back: sums may round otherwise in another layout.
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    facts = {
        "psnr_db": float(psnr_db[0]) if job.latent is None else None,
        "seconds": sum(part.seconds for part in found),
    }
    if partial:
        partial.save("inversion.safetensors", tensors, facts)
    return _found(tensors, facts)


def inverted_at_once(compute: ComputeConfig, photos: int) -> int:
    """How many photos are inverted together."""
    return min(photos, compute.chunk) if compute.chunk else photos


def started_at_once(compute: ComputeConfig, resolution: int) -> int:
    """How many pictures to start an inversion from are made together; without gradients they take little."""
    return min(at_once(resolution), 4 * compute.chunk) if compute.chunk else at_once(resolution)


def _inverted(
    job: Plan,
    photos: list[Float[Tensor, "1 3 s s"]],
    masks: list[Float[Tensor, "1 1 s s"]],
    progress: Progress,
    loss: tuple[InvertConfig, Perceptual | None],
    table: StartTable,
    generator: torch.Generator,
) -> list[Inversion]:
    """Inversions of the photos, all at once or one after another; a photo's does not depend on the others."""
    compute = job.config.compute
    drawn = generator.get_state()
    found = []
    for part in pieces(len(photos), inverted_at_once(compute, len(photos))):
        generator.set_state(drawn)
        found.append(
            invert(
                torch.cat(photos[part]),
                job.gan,
                loss[0],
                generator=generator,
                progress=progress.on_inversion,
                mask=torch.cat(masks[part]),
                perceptual=loss[1],
                table=table,
            )
        )
    return found


def _found(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Found:
    """What was kept of an inversion, as a record."""
    yaw = Yaw(tensors["yaw"], float(tensors["yaw_rad"])) if "yaw" in tensors else None
    return Found(tensors["w"], tensors["image"], tensors.get("mirror_w"), yaw, facts["psnr_db"], facts["seconds"])


def yaw_of(job: Plan, table: StartTable) -> Yaw | None:
    """How the generator turns its objects; None where that is not asked for.

    It depends on no photo, so that a photo alone and one among others are given the same.
    """
    config, row = job.config.turn, find_prior(job.config.prior.shape)
    if not config.use or config.wide_deg == 0 or not row.has_shape:
        return None
    return yaw_of_generator(job.category, table, job.gan, job.camera, job.depth_range, config)


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
    device, prior = job.gan.device, None if job.general else prior_of(job, masked)
    photo, mask, w = job.picture.image[None].to(device), masked.mask.to(device), found.w.detach()
    prior = None if prior is None else prior.to(device)
    turned = None
    if found.mirror_w is not None and prior is not None:
        config = job.config.turn
        turned = turn(photo, mask, w, found.mirror_w, prior, job.gan, job.camera, job.depth_range, config, found.yaw)
    problem = Problem(
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
    if job.general is None:
        return problem
    with torch.no_grad():  # what the general model sees in the photo is the shape to stay near
        return replace(problem, prior=predict_depth(job.general.networks, photo, problem.exact))


@torch.no_grad()
def factors_of(nets: Networks, problem: Problem, texture: Literal["network", "photo"]) -> Factors:
    """What a result is made of: the networks' factors in full precision, the albedo A's or the photo's own."""
    factors = predict(nets, problem.exact)
    if texture == "network":
        return factors
    albedo = photo_albedo(problem.photo, problem.mask, factors, problem.camera, problem.depth_range)
    return replace(factors, albedo=albedo)


def textured(job: Plan, result: Reconstruction) -> Reconstruction:
    """The result with a texture as fine as the photo, where the photo is finer and the albedo is its own."""
    fine = job.picture.fine
    return result if fine is None else replace(result, texture=photo_texture(fine, result))


def texture_of(config: FitConfig, general: GeneralModel | None) -> Literal["network", "photo"]:
    """Where the albedo comes from: what the settings say, but for the preview of a model without A."""
    lacking = general is not None and not config.stages and not general.facts.albedo
    return "photo" if lacking else config.texture


@torch.no_grad()
def preview_of(job: Plan, masked: Masked) -> Reconstruction:
    """What the general model makes of the photo at once, in full precision whatever the fit's is.
    There is no inversion of it: the record's latent is the generator's mean, and the rendering stands for G(w). Of a
    model without A the albedo is the photo's own whatever the settings say.
    """
    assert job.general is not None
    w = job.gan.w_mean()[None, None].expand(1, job.gan.info.num_ws, -1)
    exact = replace(job.config, compute=replace(job.config.compute, precision="fp32"))
    problem = problem_of(replace(job, config=exact), masked, Found(w, job.picture.image[None]), None)
    texture = job.config.texture if job.general.facts.albedo else "photo"
    factors = factors_of(job.general.networks, problem, texture)
    found = assemble(
        problem.photo, problem.photo, problem.mask, factors, w[0], job.camera, job.depth_range, even=texture == "photo"
    )
    return textured(job, replace(found, inversion=found.recon.clamp(0, 1)))
