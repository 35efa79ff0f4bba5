"""How fast a generator is against its plain form, and how many images a second its training sees, in one run.

Plain are the readable modules: one grouped convolution with the weights of every item, float32. Both sides take turns;
medians count, the first turn of each is left out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from bozzetto.bench.steps import find_gan, machine
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.gan.generator import Gan
from bozzetto.gan.plain import plain
from bozzetto.gan.training.shapes import spec_for
from bozzetto.gan.training.trainer import TrainConfig, Trainer
from bozzetto.results.provenance import versions


@dataclass(frozen=True)
class GanSpeedConfig:
    """What to time."""

    size: int = 128  # pixels: 16, 32, 64, 128 or 256
    batch: int = 8  # pictures at once
    repeats: int = 7  # turns of each side, one more is not counted
    train_steps: int = 16  # steps of a training, a whole round of its lazy penalties; 0: none
    device: str = "cpu"


def time_gan(config: GanSpeedConfig, on_turn: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Time pictures with the gradient to their latents, and the discriminator's features with that to the pictures.

    Returns:
        rows: what, size, batch, ms and ratio of fp32 and bf16 against ms_plain; training's images/s where asked for.

    Raises:
        InputError: an impossible size or count.
    """
    if min(config.batch, config.repeats) < 1 or config.train_steps < 0:
        raise InputError("Timing takes a batch and a repeat of 1 at least.")
    device = find_device(config.device)
    gan = find_gan(config.size, device)
    sides = {"plain": plain(gan), "fp32": gan, "bf16": gan.with_precision("bf16")}
    works = {"generator": _generator, "discriminator": _discriminator}
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(config.repeats + 1):
        for name, work in works.items():
            for side, net in sides.items():
                seconds = timed(lambda work=work, net=net: work(net, config.batch), device)  # type: ignore[misc]
                if turn > 0:
                    times.setdefault((name, side), []).append(1000 * seconds)
        if on_turn is not None:
            on_turn(turn + 1)
    rows: list[dict[str, Any]] = []
    for name in works:
        ms = {side: statistics.median(times[name, side]) for side in sides}
        row: dict[str, Any] = {"what": name, "size": config.size, "batch": config.batch}
        row |= {f"ms_{side}": round(value, 2) for side, value in ms.items()}
        rows.append(row | {f"ratio_{side}": round(ms["plain"] / ms[side], 2) for side in ("fp32", "bf16")})
    out = {"rows": rows, "machine": machine(config.device), "versions": versions(), "settings": asdict(config)}
    if config.train_steps:
        out["training"] = time_training(config, device)
    return out


def time_training(config: GanSpeedConfig, device: torch.device) -> dict[str, Any]:
    """Images a second of a training from scratch on random pictures, penalties included."""
    trainer = Trainer(spec_for(config.size), TrainConfig(), device)
    shape = (64, 3, config.size, config.size)
    pictures = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    trainer.step(pictures)  # the first step warms up and takes both penalties; so does the last of the round

    def steps() -> None:
        for _ in range(config.train_steps):
            trainer.step(pictures)

    images = config.train_steps * trainer.config.batch
    counts = [sum(p.numel() for p in net.parameters()) for net in (trainer.generator, trainer.discriminator)]
    rate = images / timed(steps, device)
    return {"images_per_s": round(rate, 2), "batch": trainer.config.batch, "parameters": counts}


def _generator(gan: Gan, batch: int) -> Tensor:
    z = torch.randn(batch, gan.info.z_dim, generator=torch.Generator().manual_seed(0)).to(gan.device)
    w = gan.w_from_z(z).detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(gan.image_from_w(w).square().mean(), w)
    return gradient


def _discriminator(gan: Gan, batch: int) -> Tensor:
    size = gan.info.resolution
    image = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    image = image.to(gan.device).requires_grad_()
    loss = torch.stack([tap.square().mean() for tap in gan.features(image, 3)]).sum()
    (gradient,) = torch.autograd.grad(loss, image)
    return gradient


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that it takes, the device's own work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
