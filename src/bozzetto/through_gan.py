"""Pictures through the GAN of a finished result: what the method makes of it, where its parts come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bozzetto.config import ProjectConfig, TurnConfig
from bozzetto.errors import InputError, OutputError
from bozzetto.export.paths import gan_lights, gan_views
from bozzetto.gan.generator import Gan
from bozzetto.gan.start import start_table
from bozzetto.gan.whiten import whitening
from bozzetto.method.through_gan import CHUNK, STEPS, through_gan
from bozzetto.method.turn import Yaw, yaw_of_generator
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.precision import resolve
from bozzetto.results import Reconstruction, keep_through_gan, read, read_networks
from bozzetto.segment.categories import CATEGORIES
from bozzetto.types import ThroughGan

MAX_STEPS = 10_000
KEPT = 8  # generators' turns that are remembered
SAMPLES = 512  # to find the generator's turn with; half as many as for an inversion

_KNOWN: dict[tuple[object, ...], Yaw] = {}  # oldest first


def fit_of(result: Reconstruction) -> Mapping[str, Any]:
    """The settings of the fit as the record has them. Raises OutputError."""
    fit = result.provenance.config.get("fit")
    stages = fit.get("stages") if isinstance(fit, dict) else None
    if not isinstance(stages, list) or not all(
        isinstance(stage, dict) and isinstance(stage.get("project"), int | float) for stage in stages
    ):
        raise OutputError("This result does not say how it was fitted; reconstruct the photo again.")
    assert isinstance(fit, dict)
    return fit


def learned_to_project(fit: Mapping[str, Any]) -> bool:
    """Whether E was trained at all."""
    return any(stage["project"] > 0 for stage in fit["stages"])


def pictures_of(result: Reconstruction, networks: Mapping[str, Tensor], gan: Gan, steps: int = STEPS) -> ThroughGan:
    """The object turned and relit, through its generator.

    Args:
        networks: of the fit, under `network.parameter` names; only those of E are used.
        gan: the generator that the result was fitted with.
        steps: see `method.through_gan`.

    Raises:
        InputError: the generator is another one, or `steps` is out of range.
        OutputError: the record does not say how it was fitted, it is a preview, or the networks are not its own.
    """
    name, sha256 = result.provenance.generator_name, result.provenance.generator_sha256
    if gan.info.sha256 != sha256:
        raise InputError(
            f"This result was fitted with the generator '{name}' (SHA-256 {sha256[:12]}...), and '{gan.info.name}' "
            f"({gan.info.sha256[:12]}...) is another one; name that one's file with --gan."
        )
    if not 0 <= steps <= MAX_STEPS:
        raise InputError(f"--steps cannot be {steps}; give 0 to {MAX_STEPS}.")
    fit = fit_of(result)
    try:
        trained = learned_to_project(fit)
        config = ProjectConfig(**fit["project"])
        if type(config.tail_layers) is not int or type(config.relative) is not bool:
            raise TypeError("not what a fit keeps")
        asked = fit["compute"]["gan_precision"]
        gan = gan.with_precision(resolve(asked if asked in ("auto", "bf16") else "fp32", gan.device))
        chunk = fit["compute"].get("chunk", 0)
        at_once = chunk if type(chunk) is int and 0 < chunk < CHUNK else CHUNK
        category = result.provenance.config.get("category")
        category = category if isinstance(category, str) and category in CATEGORIES else "object"
    except (AttributeError, KeyError, TypeError) as error:
        raise OutputError("This result's settings are not complete; reconstruct the photo again.") from error
    if not fit["stages"]:
        raise OutputError("This result is a preview, which looked for no latent; fit the photo, without --refine 0.")
    encoder = OffsetEncoder(result.size, gan.info.w_dim) if trained else None
    if encoder is not None:
        try:
            encoder.load_state_dict({key[7:]: t for key, t in networks.items() if key.startswith("offset.")})
        except RuntimeError as error:
            raise OutputError(
                "The networks of this result do not fit its size; reconstruct the photo again."
            ) from error
        encoder = encoder.requires_grad_(False).to(gan.device)
    return through_gan(
        result.factors(),
        result.mask[None],
        result.latent,
        encoder,
        gan,
        result.camera,
        result.depth_range,
        gan_views(),
        gan_lights(result.light),
        config,
        steps,
        at_once,
        _yaw_of(result, gan, category, at_once),
    )


def _yaw_of(result: Reconstruction, gan: Gan, category: str, at_once: int) -> Yaw:
    """How the generator turns its objects; looked for once a process, since all photos of a batch have the same."""
    batch = None if at_once == CHUNK else 4 * at_once  # as many as when a photo is inverted; see `ingredients`
    key = (gan.info, gan.precision, str(gan.device), category, result.camera, result.depth_range, batch)
    known = _KNOWN.get(key)
    if known is not None:
        return known
    table = start_table(gan, whitening(gan), torch.Generator().manual_seed(0), SAMPLES, batch)
    turn = TurnConfig(iterations=20)
    yaw = yaw_of_generator(category, table, gan, result.camera, result.depth_range, turn)
    if gan.info.sha256:  # networks that never were a file cannot be told apart
        _KNOWN[key] = yaw
        while len(_KNOWN) > KEPT:
            _KNOWN.pop(next(iter(_KNOWN)), None)
    return yaw


def add_to_folder(folder: Path, gan: Gan, steps: int = STEPS) -> Reconstruction:
    """Make the pictures of a result folder and keep them in it; returns the result with them.

    Raises:
        InputError, OutputError: as `pictures_of` and `results.read` do, and where the folder keeps no networks.
    """
    result, networks = read(folder), read_networks(folder)
    if networks is None:
        raise OutputError(
            f"{folder} keeps no networks (networks.safetensors), and pictures through the GAN need E; "
            "reconstruct the photo again."
        )
    keep_through_gan(folder, pictures_of(result, networks, gan, steps))
    return read(folder)
