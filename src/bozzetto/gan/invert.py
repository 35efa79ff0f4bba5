"""From a photo to the latent whose image is nearest to it: the inversion both papers leave to other programs.

The latent moves in whitened coordinates (`whiten.py`), where one step size fits all directions and the distance to the
generator's own latents is a squared length. w+ is written as one common point plus a deviation a layer, and the
deviations are held small: the image may then differ from what one w can make, and offsets common to all layers - which
is what the method adds to it - still turn and relight it as they do any sample.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import PerceptualName
from bozzetto.errors import FitError, InputError
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert_loss import InvertLoss, Perceptual, masked_mean
from bozzetto.gan.invert_state import InvertState, Plateau, Snapshot
from bozzetto.gan.start import StartTable, start_table
from bozzetto.gan.whiten import Whitening, whitening

Space = Literal["w", "w+", "w+noise"]
Start = Literal["best", "samples", "mean"]
Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class InvertConfig:
    """Every number of an inversion. Measured on rendered heads at 64 px (docs: what is said of each is about those)."""

    space: Space = "w+"  # w: one latent; w+: one a layer, near each other; w+noise: noise maps too. 22.8, 25.9 dB; -
    steps: int = 200  # 100: 0.7 dB less, 400: 0.3 dB more
    learning_rate: float = 0.1  # in standard deviations of the latents; 0.05 to 0.2 end within 0.3 dB
    warm_up: float = 0.05  # of the steps, linear; a cosine to 0.01 of the rate after it
    beta1: float = 0.9  # Adam
    beta2: float = 0.99  # Adam; short memory, the run is short
    image_weight: float = 1.0  # mean absolute difference of images in [-1, 1]
    perceptual: PerceptualName = "discriminator"  # its features, or stlpips or lpips-vgg in their place, or none
    feature_weight: float = 0.2  # discriminator features, relative L1; 0 scores the same in dB, looks less like a face
    feature_blocks: int = 3  # of the discriminator; 2 to 4 make no difference
    perceptual_weight: float = 0.5  # of stlpips or lpips-vgg
    outside_weight: float = 0.3  # of pixels outside the mask; 0: +0.6 dB inside, the outline drifts; 1: -0.7 dB
    prior_weight: float = 0.01  # mean squared whitened latent (a typical sample has 1)
    spread_weight: float = 0.1  # mean squared deviation of layers from the common latent; 0.5: -0.7 dB, 0.02: +0.3
    noise_rate: float = 1.0  # step of the noise maps, relative to the latent's (w+noise)
    noise_weight: float = 0.01  # mean squared departure from the stored noise (w+noise)
    perturbation: float = 0.0  # standard deviations of jitter on the latent, fading out by 3/4; 0.3 loses 0.8 dB here
    start: Start = "best"  # of the three: regression from random samples, the nearest of them (samples), their mean
    start_samples: int | None = None  # random samples to guess the start from; None: by the generator's size
    plateau_steps: int = 40  # a photo is done when its loss has not fallen ...
    plateau_fraction: float = 0.002  # ... by this part of itself for so many steps; 0 steps: never
    poor_db: float = 17.0  # PSNR inside the mask below which a fit warns; a generator's own kind: 20 and more
    hopeless_db: float = 12.0  # below which the photo is given up, as noise and patterns are; 0: never


@dataclass(frozen=True)
class Inversion:
    """Latents found, and how near their images come."""

    w: Float[Tensor, "b l d"]
    image: Float[Tensor, "b 3 s s"]  # [0, 1], clamped
    start: Float[Tensor, "b 3 s s"]  # the same at the start
    psnr_db: Float[Tensor, " b"]  # inside the mask, where there is one
    prior: Float[Tensor, " b"]  # mean squared whitened latent: about 1 for a typical sample, far above: not believable
    noises: tuple[Float[Tensor, "b 1 _ _"], ...] | None  # noise maps for image_from_w; None: the stored ones
    losses: Float[Tensor, "t b"]  # whole loss at every step taken
    seconds: float = field(compare=False)  # of the whole batch

    def item(self, i: int) -> Inversion:
        """One photo of the batch; its seconds are an equal share."""
        part = slice(i, i + 1)
        noises = None if self.noises is None else tuple(noise[part] for noise in self.noises)
        tensors = {name: getattr(self, name)[part] for name in ("w", "image", "start", "psnr_db", "prior")}
        share = self.seconds / len(self.w)
        return Inversion(**tensors, noises=noises, losses=self.losses[:, part], seconds=share)


LEAST: dict[str, float] = {"steps": 1, "feature_blocks": 1, "start_samples": 2}  # 0 for all others
BELOW_ONE = ("beta1", "beta2", "plateau_fraction")
POSITIVE = ("learning_rate",)


def check_inversion(config: InvertConfig) -> None:
    """Raise InputError, one sentence, for settings that cannot be worked with."""
    choices = {"space": get_args(Space), "start": get_args(Start), "perceptual": get_args(PerceptualName)}
    for one in fields(config):
        name, value = one.name, getattr(config, one.name)
        if name in choices:
            if value not in choices[name]:
                raise InputError(f"The inversion's {name} cannot be {value!r}; choose {', '.join(choices[name])}.")
            continue
        if name == "start_samples" and value is None:
            continue
        whole = "int" in str(one.type)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise InputError(f"The inversion's {name} cannot be {value!r}; give a {'whole ' if whole else ''}number.")
        least = LEAST.get(name, 0)
        if not math.isfinite(value) or value < least or (name in POSITIVE and value == 0):
            bound = "above 0" if name in POSITIVE else f"from {least}"
            raise InputError(f"The inversion's {name} cannot be {value}; give a number {bound}.")
        if (name in BELOW_ONE and value >= 1) or (name == "warm_up" and value > 1):
            raise InputError(f"The inversion's {name} cannot be {value}; give a number from 0 to 1.")
    if config.image_weight + config.feature_weight + config.perceptual_weight == 0:
        raise InputError("The inversion compares nothing: image, feature and perceptual weight cannot all be 0.")


def judge_inversion(psnr_db: float, config: InvertConfig, gan_name: str) -> str | None:
    """A sentence where an inversion is too poor to trust what comes of it, None where it is good enough.

    psnr_db: of the generator's nearest picture to the photo, inside the mask.
    Raises FitError where it is too poor to go on with.
    """
    found = f"The nearest picture that the generator '{gan_name}' makes of the photo is poor: PSNR {psnr_db:.1f} dB"
    if config.hopeless_db > 0 and not psnr_db >= config.hopeless_db:
        raise FitError(
            f"{found}, below {config.hopeless_db:g}; try a generator of what the photo shows, another --crop or "
            "--mask, or go on all the same with --inversion.hopeless-db 0."
        )
    if psnr_db >= config.poor_db:
        return None
    return f"{found}; the shape is learned from such pictures, so look at inversion.png before you trust it."


def invert(
    images: Float[Tensor, "b 3 s s"],
    gan: Gan,
    config: InvertConfig = InvertConfig(),
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
    mask: Float[Tensor, "b 1 s s"] | None = None,
    *,
    perceptual: Perceptual | None = None,
    table: StartTable | None = None,
) -> Inversion:
    """Find the latents of photos in [0, 1] at the generator's size. Photos of a batch do not influence each other.

    generator: draws the start samples and the jitter (None: one of seed 1); the same seed gives the same result for one
    photo as for it in a batch, up to rounding.
    progress: called with (steps done, steps at most, {"loss": mean over the photos}).
    mask: [0, 1], where every pixel counts; elsewhere it counts `outside_weight`.
    perceptual: (predicted, target, mask) in [0, 1] -> distance [b], weighed by `perceptual_weight`; what the config
        names, made by the caller.
    table: start samples from an earlier call (`start_table`), to save their time.
    Raises InputError for images of another size or settings that cannot be worked with, FitError if the numbers run
    away.
    """
    check_inversion(config)
    began = time.perf_counter()
    size = gan.info.resolution
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size) or len(images) == 0:
        raise InputError(
            f"The generator '{gan.info.name}' takes images [batch, 3, {size}, {size}], not {list(images.shape)}."
        )
    target = images.detach().to(gan.device).float().clamp(0, 1) * 2 - 1
    generator = generator or torch.Generator().manual_seed(1)
    mask = torch.ones_like(target[:, :1]) if mask is None else mask.detach().to(target).clamp(0, 1)
    white = whitening(gan)
    loss_of = InvertLoss(gan, target, mask, config, perceptual)
    table = table or start_table(gan, white, generator, config.start_samples)
    start = _start(white, table, loss_of, target, mask, config.start)
    state = InvertState(gan, start, config)
    plateau = Plateau(len(target), config.plateau_steps, config.plateau_fraction, target.device)
    best, best_loss = state.snapshot(), torch.full_like(start[:, 0], math.inf)
    history: list[Tensor] = []
    for step in range(config.steps):
        state.set_rate(step)
        jitter = _jitter(step, gan, config, generator)
        losses = loss_of(state.latents(white, jitter), state.noises) + state.penalty()
        value = losses.detach()
        better = (value < best_loss) & ~plateau.done
        best, best_loss = state.snapshot().where(better, best), torch.where(better, value, best_loss)
        history.append(value)
        if progress is not None:
            progress(step + 1, config.steps, {"loss": float(value.mean())})
        if bool(plateau.update(best_loss).all()):
            break
        state.step(losses.sum())
    if not bool(best_loss.isfinite().all()):
        raise FitError("The inversion's numbers ran away; try precision fp32 or a smaller learning rate.")
    return _result(gan, white, best, start, torch.stack(history), target, mask, began)


def _jitter(step: int, gan: Gan, config: InvertConfig, generator: torch.Generator) -> Float[Tensor, "1 1 d"] | float:
    """Noise on the whitened latents that fades out; the same for every photo, so that batches do not matter."""
    scale = config.perturbation * max(0.0, 1 - step / (0.75 * config.steps)) ** 2
    if scale == 0:
        return 0.0
    return scale * torch.randn(1, 1, gan.info.w_dim, generator=generator, device=generator.device).to(gan.device)


def _start(
    white: Whitening, table: StartTable, loss_of: InvertLoss, target: Tensor, mask: Tensor, start: Start
) -> Float[Tensor, "b d"]:
    """Where the search begins; the best is the one of least loss, for every photo by itself."""
    seen = mask * target + (1 - mask) * table.mean_picture(target.shape[-1])
    guess, nearest = table.guess(seen), table.nearest(seen)
    candidates = {"samples": nearest, "mean": torch.zeros_like(guess)}
    if start in candidates:
        return candidates[start]
    stack = torch.stack([guess, *candidates.values()])
    with torch.no_grad():
        losses = torch.stack([loss_of(white.to_w(v), None) for v in stack])
    return stack[losses.argmin(dim=0), torch.arange(len(guess), device=guess.device)]


@torch.no_grad()
def _result(
    gan: Gan,
    white: Whitening,
    best: Snapshot,
    start: Tensor,
    losses: Tensor,
    target: Tensor,
    mask: Tensor,
    began: float,
) -> Inversion:
    whitened = best.whitened(gan.info.num_ws)
    w = white.to_w(whitened)
    image = gan.image_from_w(w, best.noises or "const", precision="fp32").clamp(-1, 1)
    error = masked_mean(((image - target) / 2).square(), mask)
    return Inversion(
        w=w,
        image=image / 2 + 0.5,
        start=gan.image_from_w(white.to_w(start), precision="fp32").clamp(-1, 1) / 2 + 0.5,
        psnr_db=-10 * torch.log10(error.clamp(min=1e-10)),
        prior=whitened.square().mean(dim=(1, 2)),
        noises=best.noises or None,
        losses=losses,
        seconds=time.perf_counter() - began,
    )
