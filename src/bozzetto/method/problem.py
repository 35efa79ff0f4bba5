"""What a fit is given, and what the networks make of a photo."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import FitConfig
from bozzetto.gan.generator import Gan
from bozzetto.losses.perceptual import Perceptual
from bozzetto.method.sampling import SceneDistribution
from bozzetto.nets.heads import ViewScale, albedo_from_raw, depth_from_raw, light_from_raw, view_from_raw
from bozzetto.nets.networks import Networks
from bozzetto.precision import resolve
from bozzetto.types import Camera, DepthRange, Factors


@dataclass(frozen=True)
class Turned:
    """Pictures of the object whose view and light are known about, before any fit (method/turn.py)."""

    images: Float[Tensor, "k b 3 s s"]  # [0, 1]
    view: Float[Tensor, "k b 6"]  # radians and scene units
    light: Float[Tensor, "k b 4"]

    def part(self, start: int, end: int | None) -> Turned:
        """Some of every photo's pictures."""
        return Turned(self.images[start:end], self.view[start:end], self.light[start:end])

    def joined(self, other: Turned) -> Turned:
        """These pictures and then the other ones."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Turned(*(torch.cat(pair) for pair in pairs))


@dataclass(frozen=True)
class Problem:
    """One or several photos to be fitted by one set of networks, and their teacher."""

    photo: Float[Tensor, "b 3 s s"]  # [0, 1]
    mask: Float[Tensor, "b 1 s s"]  # [0, 1], soft
    latent: Float[Tensor, "b l d"]  # the photo's w
    prior: Float[Tensor, "b 1 s s"] | None  # depth for step 0, scene units; None skips it
    gan: Gan
    perceptual: Perceptual | None
    scenes: SceneDistribution
    camera: Camera
    depth_range: DepthRange
    config: FitConfig
    turned: Turned | None = None

    @property
    def view_scale(self) -> ViewScale:
        view = self.config.view
        return ViewScale(view.rotation_deg, view.translation, view.translation_z)

    def take(self, index: Tensor) -> Problem:
        """The problem of some of the photos, in this order; index: [n], long."""
        turned = self.turned
        if turned is not None:
            turned = Turned(turned.images[:, index], turned.view[:, index], turned.light[:, index])
        prior = None if self.prior is None else self.prior[index]
        photo, mask, latent = self.photo[index], self.mask[index], self.latent[index]
        return replace(self, photo=photo, mask=mask, latent=latent, prior=prior, turned=turned)

    @property
    def exact(self) -> Problem:
        """The same with the networks in float32: bfloat16 knows raw depths of 1 to 0.008, and normals show it."""
        compute = replace(self.config.compute, precision="fp32")
        return replace(self, config=replace(self.config, compute=compute))

    def autocast(self) -> AbstractContextManager[None]:
        """bfloat16 convolutions of the five networks where the settings say so."""
        device = self.photo.device.type
        on = resolve(self.config.compute.precision, device) == "bf16"
        return torch.autocast(device, dtype=torch.bfloat16, enabled=on)


def door(images: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Images as the networks read them: [-1, 1], channels-last."""
    return (images * 2 - 1).contiguous(memory_format=torch.channels_last)


def predict_view(nets: Networks, images: Float[Tensor, "b 3 s s"], problem: Problem) -> Float[Tensor, "b 6"]:
    with problem.autocast():
        raw = nets.view(door(images))
    mean = raw.new_tensor(problem.scenes.views.mean, dtype=torch.float32)
    return view_from_raw(raw.float(), mean, problem.view_scale)


def predict_light(nets: Networks, images: Float[Tensor, "b 3 s s"], problem: Problem) -> Float[Tensor, "b 4"]:
    with problem.autocast():
        raw = nets.light(door(images))
    return light_from_raw(raw.float(), raw.new_zeros(4, dtype=torch.float32))


def predict_depth(nets: Networks, images: Float[Tensor, "b 3 s s"], problem: Problem) -> Float[Tensor, "b 1 s s"]:
    with problem.autocast():
        raw = nets.depth(door(images))
    return depth_from_raw(raw.float(), problem.depth_range)


def predict_albedo(nets: Networks, images: Float[Tensor, "b 3 s s"], problem: Problem) -> Float[Tensor, "b 3 s s"]:
    with problem.autocast():
        raw = nets.albedo(door(images))
    return albedo_from_raw(raw.float())


def predict(nets: Networks, problem: Problem) -> Factors:
    """The factors of the photos as the networks have them now."""
    photo = problem.photo
    return Factors(
        predict_depth(nets, photo, problem),
        predict_albedo(nets, photo, problem),
        predict_view(nets, photo, problem),
        predict_light(nets, photo, problem),
    )
