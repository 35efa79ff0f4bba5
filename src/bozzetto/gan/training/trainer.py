"""One training: the two networks, the exponential average, both Adams, and the step that moves them.

Every random draw of step i comes from a generator seeded by (seed, i) alone, so a resumed training goes on bit for bit
without any stored random state.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.frozen import DTYPES
from bozzetto.gan.initialise import initialise
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator, Synthesis
from bozzetto.gan.training import fast, losses
from bozzetto.gan.training.augment import Adaptive, augment, shift_and_mirror
from bozzetto.gan.training.images import to_network
from bozzetto.precision import PrecisionChoice, resolve
from bozzetto.processes import mean, place, share_of
from bozzetto.seeds import seeded


@dataclass(frozen=True)
class TrainConfig:
    """How a generator is trained. Defaults are StyleGAN2's (Karras et al. 2020) where no other source is named."""

    batch: int = 32  # images a step, over all processes
    learning_rate: float = 0.0025  # of Adam, both networks
    beta2: float = 0.99  # of Adam; its beta1 is 0
    r1_weight: float | None = None  # gamma; None: by size and batch (`losses.r1_weight_default`)
    r1_interval: int = 16  # steps between two R1 penalties (lazy regularisation)
    path_weight: float = 2.0  # of the path length penalty; 0: none
    path_interval: int = 8
    path_share: float = 0.5  # of the batch that the path length is taken on
    mixing: float = 0.9  # chance that two latents make one picture (StyleGAN's style mixing)
    ema_images: float = 10_000.0  # half-life of the average of the generator's weights
    ema_rampup: float = 0.05  # half-life as a share of the images seen, while that is less
    mirror: bool = True  # mirror images of the pictures count as pictures
    shift: float = 0.04  # random shift of every picture, as a share of its side
    adaptive: bool = True  # adaptive augmentation (Karras et al. 2020, limited data); off: none
    augmentation: Adaptive = field(default_factory=Adaptive)
    precision: PrecisionChoice = "auto"  # of the convolutions
    seed: int = 0


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """The source of randomness of one step."""
    return seeded(seed, step, stream)


class Trainer:
    """Networks and optimisers on one device. `step` is one move of D, then one of G, then of the average.

    Where torch.distributed is running, every process takes its share of the batch, gradients are averaged, and all
    networks stay the same.
    """

    def __init__(self, spec: StyleGan2Spec, config: TrainConfig, device: torch.device | str = "cpu") -> None:
        self.spec, self.config, self.device = spec, config, torch.device(device)
        self.generator, self.discriminator = Generator(spec), Discriminator(spec)
        initialise(self.generator, step_generator(config.seed, 0, stream=1))
        initialise(self.discriminator, step_generator(config.seed, 0, stream=2))
        self.generator.to(self.device)
        self.discriminator.to(self.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.optim_g = self._adam(self.generator, config.path_interval if config.path_weight > 0 else 0)
        self.optim_d = self._adam(self.discriminator, config.r1_interval)
        gamma = config.r1_weight
        self.r1_weight = losses.r1_weight_default(spec.resolution, config.batch) if gamma is None else gamma
        self.steps = 0  # taken so far
        self.p = 0.0  # of the augmentation
        self.path_mean = torch.zeros((), device=self.device)
        self.signs: list[float] = []  # of D on real pictures since p moved
        self.dtype = DTYPES[resolve(config.precision, self.device)]
        self.rank = place()[0]
        self.share = share_of(config.batch)

    def _adam(self, net: nn.Module, interval: int) -> torch.optim.Adam:
        """Adam, slowed so that the additional steps of a lazy penalty leave the moments as they were (appendix B)."""
        ratio = interval / (interval + 1) if interval else 1.0
        rate, beta2 = self.config.learning_rate * ratio, self.config.beta2**ratio
        return torch.optim.Adam(net.parameters(), lr=rate, betas=(0.0, beta2), eps=1e-8)

    @property
    def images_seen(self) -> int:
        return self.steps * self.config.batch

    def restart_average(self) -> None:
        """Let the average be the generator as it is (after its weights were replaced)."""
        self.average.load_state_dict(self.generator.state_dict())

    # -- one step --------------------------------------------------------------------------------------------------

    def step(self, images: UInt8[Tensor, "n 3 s s"]) -> dict[str, float]:
        """Move everything once, on random pictures of the set; returns the losses."""
        rng = step_generator(self.config.seed, self.steps, stream=16 + self.rank)
        terms = self._move_discriminator(images, rng)
        terms |= self._move_generator(rng)
        self._move_average()
        self.steps += 1
        if self.config.adaptive and self.steps % self.config.augmentation.interval == 0:
            sign = mean(torch.tensor(float(np.mean(self.signs)), device=self.device))
            self.p = self.config.augmentation.moved(self.p, float(sign), self.config.batch)
            self.signs.clear()
        return terms | {"p": self.p}

    def _move_discriminator(self, images: Tensor, rng: torch.Generator) -> dict[str, float]:
        config = self.config
        index = torch.randint(len(images), (self.share,), generator=rng)
        real = shift_and_mirror(to_network(images[index]), config.shift, config.mirror, rng).to(self.device)
        with torch.no_grad():
            fake, _ = self.draw(self.share, rng)
        logits = self._judge(augment(torch.cat((real, fake)), self.p, rng))
        # Each half forms its own groups for the minibatch deviation: see `_judge`.
        on_real, on_fake = logits.chunk(2)
        loss = losses.discriminator_loss(on_real, on_fake)
        self._apply(self.optim_d, loss)
        self.signs.append(float(on_real.detach().sign().mean()))
        terms = {"D": float(loss.detach())}
        if config.r1_interval and self.steps % config.r1_interval == 0:
            penalty = losses.r1_penalty(self._judge_one, augment(real, self.p, rng))
            self._apply(self.optim_d, penalty * (self.r1_weight / 2 * config.r1_interval))
            terms["r1"] = float(penalty.detach())
        return terms

    def _move_generator(self, rng: torch.Generator) -> dict[str, float]:
        config = self.config
        self.discriminator.requires_grad_(False)
        fake, _ = self.draw(self.share, rng)
        loss = losses.generator_loss(self._judge_one(augment(fake, self.p, rng)))
        self._apply(self.optim_g, loss)
        self.discriminator.requires_grad_(True)
        terms = {"G": float(loss.detach())}
        if config.path_weight > 0 and self.steps % config.path_interval == 0:
            count = max(1, round(self.share * config.path_share))
            image, w = self.draw(count, rng)
            noise = torch.randn(image.shape, generator=rng).to(self.device)
            penalty, average = losses.path_penalty(losses.path_lengths(image, w, noise), self.path_mean)
            self.path_mean = mean(average)
            self._apply(self.optim_g, penalty * (config.path_weight * config.path_interval))
            terms["path"] = float(penalty.detach())
        return terms

    def draw(self, count: int, rng: torch.Generator) -> tuple[Float[Tensor, "b 3 s s"], Float[Tensor, "b l d"]]:
        """Pictures of random latents, some of two latents mixed, with fresh noise; and the latents of every layer."""
        layers = self.spec.num_ws
        z = torch.randn(2, count, self.spec.z_dim, generator=rng).to(self.device)
        mix = torch.rand(count, generator=rng) < self.config.mixing
        cut = torch.where(mix, torch.randint(1, layers, (count,), generator=rng), layers)
        first = (torch.arange(layers)[None] < cut[:, None]).to(self.device)
        w = self.generator.mapping(z.flatten(0, 1)).view(2, count, 1, -1)
        w = torch.where(first[:, :, None], w[0], w[1])
        noises = [
            torch.randn(count, 1, *noise.shape[2:], generator=rng).to(self.device)
            for noise in self.generator.synthesis.noises()
        ]
        net = self.generator.synthesis
        assert isinstance(net, Synthesis)
        return fast.synthesise(net, w, noises, self.dtype), w

    def _judge_one(self, images: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 1"]:
        return fast.judge(self.discriminator, images, self.dtype)

    def _judge(self, images: Float[Tensor, "both 3 s s"]) -> Float[Tensor, "both 1"]:
        """Logits of real and generated pictures, each half for itself: the deviation must not mix them."""
        return torch.cat([self._judge_one(half) for half in images.chunk(2)])

    def _apply(self, optimiser: torch.optim.Adam, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = mean(parameter.grad)
                    # A rare value that is not finite must not spread.
                    torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1e5, neginf=-1e5)
        optimiser.step()

    @torch.no_grad()
    def _move_average(self) -> None:
        half_life = min(self.config.ema_images, max(self.images_seen, 1) * self.config.ema_rampup)
        decay = losses.ema_decay(self.config.batch, half_life)
        for ours, theirs in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay)

    # -- state -----------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a later `step` depends on."""
        out: dict[str, Tensor] = {"path_mean": self.path_mean, "steps": torch.tensor(self.steps)}
        out["p"] = torch.tensor(self.p, dtype=torch.float64)
        out["signs"] = torch.tensor(self.signs, dtype=torch.float64)
        nets = {"g": self.generator, "d": self.discriminator, "g_ema": self.average}
        for name, net in nets.items():
            out |= {f"{name}.{key}": value for key, value in net.state_dict().items()}
        for name, optimiser in (("optim_g", self.optim_g), ("optim_d", self.optim_d)):
            for index, state in optimiser.state_dict()["state"].items():
                out |= {f"{name}.{index}.{key}": value for key, value in state.items()}
        return out

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The counterpart of `tensors`; KeyError or RuntimeError for those of another spec."""
        self.path_mean = tensors["path_mean"].to(self.device)
        self.steps, self.p = int(tensors["steps"]), float(tensors["p"])
        self.signs = tensors["signs"].tolist()
        for name, net in (("g", self.generator), ("d", self.discriminator), ("g_ema", self.average)):
            net.load_state_dict(_under(tensors, name))
        for name, optimiser in (("optim_g", self.optim_g), ("optim_d", self.optim_d)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(tensors, name).items():
                index, _, what = key.partition(".")
                state.setdefault(int(index), {})[what] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
