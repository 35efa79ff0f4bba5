"""Perceptual distances by the names that settings give them."""

from __future__ import annotations

import torch

from bozzetto.config import PerceptualName
from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan
from bozzetto.losses.discriminator import DiscriminatorFeatures
from bozzetto.losses.lpips_vgg import make_lpips_vgg
from bozzetto.losses.perceptual import Perceptual
from bozzetto.losses.stlpips import make_stlpips


def make_perceptual(name: PerceptualName, gan: Gan, device: torch.device | str) -> Perceptual | None:
    """The distance of a name, frozen, on the device, in the generator's precision; None for "none".

    Raises:
        InputError: there is no such name.
        CheckpointError: "discriminator" with a generator whose file holds none, or a damaged weight file.
        MissingExtraError: the package that carries the weights is not installed.
    """
    if name == "none":
        return None
    if name == "discriminator":
        _ = gan.feature_names  # complains now and not an hour later where there is no discriminator
        return DiscriminatorFeatures(gan.to(device))
    if name == "stlpips":
        return make_stlpips(device, gan.precision)
    if name == "lpips-vgg":
        return make_lpips_vgg(device, gan.precision)
    raise InputError(f"There is no perceptual loss {name!r}; choose discriminator, stlpips, lpips-vgg or none.")
