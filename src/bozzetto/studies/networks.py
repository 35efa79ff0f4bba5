"""Networks as a start for other photos, and what they see in a photo without a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from bozzetto.bench.score import score_head, shape_of
from bozzetto.config import FitConfig
from bozzetto.errors import BozzettoError
from bozzetto.general_model import GeneralFacts, GeneralModel
from bozzetto.ingredients import mask_of, preview_of
from bozzetto.keep import Quiet
from bozzetto.nets.networks import make_networks
from bozzetto.results import Reconstruction
from bozzetto.studies.desk import Desk
from bozzetto.studies.subjects import Subject


def model_of(desk: Desk, tensors: Mapping[str, Tensor], config: FitConfig, photos: int) -> GeneralModel:
    """Fitted networks as a general model, which other fits may begin with."""
    info = desk.gan.info
    nets = make_networks(desk.size, info.w_dim, torch.Generator().manual_seed(0), desk.device, config.nets.width)
    nets.load_state({name: value.to(desk.device) for name, value in tensors.items()})
    nets.train_only(())
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    mean = desk.plan(desk.subjects[0], config, 0).scenes.views.mean
    facts = GeneralFacts(
        name="study",
        category=info.category,
        licence=info.licence,
        size=desk.size,
        w_dim=info.w_dim,
        width=config.nets.width,
        view=config.view,
        view_mean=tuple(mean),
        generator_name=info.name,
        generator_sha256=info.sha256,
        photos=photos,
        offset=True,
    )
    return GeneralModel(nets, facts, digest.hexdigest())


def seen(desk: Desk, subject: Subject, model: GeneralModel, config: FitConfig) -> Reconstruction:
    """What networks make of a photo in one pass."""
    job = desk.plan(subject, config, 0, general=model, refine=0)
    return preview_of(job, mask_of(job, None, Quiet())[0])


def seen_scores(
    desk: Desk, subjects: Iterable[Subject], model: GeneralModel, config: FitConfig
) -> dict[str, dict[str, float]]:
    """Scores of that by the photos' names; their truth must be known. A photo that fails is told and left out."""
    found = {}
    for subject in subjects:
        assert subject.truth is not None
        try:
            result = seen(desk, subject, model, config)
        except BozzettoError as error:
            desk.leave_out(subject, error)
            continue
        found[subject.name] = score_head(shape_of(result), subject.truth, result.camera)
    return found
