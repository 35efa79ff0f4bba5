"""The moving part of an inversion: whitened latents, layer deviations, noise maps, and their optimiser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bozzetto.gan.generator import Gan
from bozzetto.gan.whiten import Whitening

if TYPE_CHECKING:
    from bozzetto.gan.invert import InvertConfig

FINAL_RATE = 0.01  # of the learning rate, at the end of the cosine


class Snapshot(NamedTuple):
    """Values at one step."""

    common: Float[Tensor, "b 1 d"]
    deviation: Float[Tensor, "b _ d"]  # one row (unused) in space w, num_ws otherwise
    noises: tuple[Float[Tensor, "b 1 _ _"], ...]

    def whitened(self, layers: int) -> Float[Tensor, "b l d"]:
        return (self.common + self.deviation).expand(-1, layers, -1)

    def where(self, condition: Bool[Tensor, " b"], other: Snapshot) -> Snapshot:
        """This snapshot's values for the photos where the condition holds, the other's elsewhere."""

        def choose(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(condition.view(-1, *[1] * (mine.ndim - 1)), mine, theirs)

        noises = tuple(choose(a, b) for a, b in zip(self.noises, other.noises, strict=True))
        return Snapshot(choose(self.common, other.common), choose(self.deviation, other.deviation), noises)


class InvertState:
    """Leaf tensors and Adam. Sums of per-photo losses give every photo its own gradient, whatever the batch."""

    def __init__(self, gan: Gan, start: Float[Tensor, "b d"], config: InvertConfig) -> None:
        self.config, self.layers = config, gan.info.num_ws
        batch, d = start.shape
        self.common = start.detach().clone()[:, None].requires_grad_()
        rows = 1 if config.space == "w" else self.layers
        self.deviation = torch.zeros(batch, rows, d, device=start.device)
        groups = [{"params": [self.common], "relative": 1.0}]
        if config.space != "w":
            groups.append({"params": [self.deviation.requires_grad_()], "relative": 1.0})
        self.stored: list[Tensor] = []
        if config.space == "w+noise":
            self.stored = [n.detach().expand(batch, -1, -1, -1) for n in gan.generator.synthesis.noises()]
        self._noises = [n.clone().requires_grad_() for n in self.stored]
        if self._noises:
            groups.append({"params": self._noises, "relative": config.noise_rate})
        self.optimiser = torch.optim.Adam(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2))

    @property
    def noises(self) -> list[Tensor] | None:
        """Noise maps that move, or None where the stored ones are used."""
        return self._noises or None

    def set_rate(self, step: int) -> None:
        """Linear warm-up times a cosine from 1 to FINAL_RATE."""
        steps, warm = self.config.steps, max(1, round(self.config.warm_up * self.config.steps))
        cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
        rate = min(1.0, (step + 1) / warm) * (FINAL_RATE + (1 - FINAL_RATE) * cosine)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rate * group["relative"]

    def latents(self, white: Whitening, jitter: Float[Tensor, "1 1 d"] | float = 0.0) -> Float[Tensor, "b l d"]:
        return white.to_w(self.common + self.deviation + jitter).expand(-1, self.layers, -1)

    def penalty(self) -> Float[Tensor, " b"]:
        """Prior on the common latent, on the spread of the layers, and on the noise maps."""
        loss = self.config.prior_weight * self.common.square().mean(dim=(1, 2))
        loss = loss + self.config.spread_weight * self.deviation.square().mean(dim=(1, 2))
        for noise, stored in zip(self._noises, self.stored, strict=True):
            departure = (noise - stored).square().mean(dim=(1, 2, 3))
            loss = loss + self.config.noise_weight / len(self.stored) * departure
        return loss

    def step(self, loss: Float[Tensor, ""]) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def snapshot(self) -> Snapshot:
        """A copy of the values."""
        noises = tuple(n.detach().clone() for n in self._noises)
        return Snapshot(self.common.detach().clone(), self.deviation.detach().clone(), noises)


class Plateau:
    """Says which photos have stopped getting better; each by its own losses alone."""

    def __init__(self, batch: int, steps: int, fraction: float, device: torch.device) -> None:
        self.steps, self.fraction = steps, fraction
        self.mark = torch.full((batch,), math.inf, device=device)
        self.waited = torch.zeros(batch, dtype=torch.int64, device=device)
        self.done = torch.zeros(batch, dtype=torch.bool, device=device)

    def update(self, best: Float[Tensor, " b"]) -> Bool[Tensor, " b"]:
        """Best losses so far -> photos that are done (and stay so)."""
        fell = best < self.mark * (1 - self.fraction)
        self.mark = torch.where(fell, best, self.mark)
        self.waited = torch.where(fell, 0, self.waited + 1)
        if self.steps > 0:
            self.done |= self.waited >= self.steps
        return self.done
