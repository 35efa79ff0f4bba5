"""The upper bound: the same depth network, with the same head, trained on rendered heads with their true depth.

What it predicts is the depth in the photo's pose; loss: mean absolute depth error on the true mask, in half ranges,
as the supervised baseline of Wu et al. 2020 (unsup3d). The order of the heads, mirrored ones included, is a function of
seed and epoch alone, so that an interrupted training ends where it would have ended.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam

from bozzetto.bench.datasets import HeadTruth, decode_depth, from_bytes, head_files, read_arrays
from bozzetto.bench.make_set import SETTINGS_FILE
from bozzetto.bench.makers import Made
from bozzetto.bench.score import flat_shape
from bozzetto.config import OptimConfig
from bozzetto.errors import InputError, OutputError
from bozzetto.keep import Interrupts, Progress
from bozzetto.method.problem import door
from bozzetto.method.state import make_optimiser
from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.blocks import initialise
from bozzetto.nets.heads import depth_from_raw
from bozzetto.results.partial import Partial, differences
from bozzetto.results.provenance import plain
from bozzetto.types import DepthRange

STATE = "training.safetensors"
SAVE_EVERY_S = 60.0
RANGE = DepthRange()


@dataclass(frozen=True)
class SupervisedConfig:
    """How the bound is trained."""

    heads: int = 16000  # training heads at most
    iterations: int = 12000
    batch: int = 32
    lr: float = 3e-4
    final_lr: float = 0.02  # share of the rate that a cosine leaves at the end
    width: float = 1.0  # of the network against the papers' tables
    precision: Literal["fp32", "bf16"] = "fp32"  # of the convolutions


@dataclass(frozen=True)
class TrainingHeads:
    """Photos and true depths as they are stored: 20 KB a head of 64 px."""

    image: np.ndarray  # uint8 [N, H, W, 3]
    depth: np.ndarray  # uint16 [N, H, W], see bench/datasets.py

    def batch(self, chosen: Tensor, mirrored: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Photos [B, 3, S, S] in [0, 1] and depths [B, 1, S, S], NaN off the mask."""
        index = chosen.numpy()
        photo = from_bytes(self.image[index])
        depth = torch.from_numpy(decode_depth(self.depth[index]))[:, None]
        flip = mirrored[:, None, None, None]
        both = [torch.where(flip, picture.flip(3), picture).to(device) for picture in (photo, depth)]
        return both[0], both[1]


def read_training_heads(folder: Path, count: int, size: int) -> TrainingHeads:
    """The first `count` heads of a folder of `make-heads` (all, if there are fewer).

    Raises:
        InputError: there are none, or of another size.
    """
    files = head_files(folder)[:count]
    images, depths = [], []
    for file in files:
        arrays = read_arrays(file)
        if arrays["image"].shape[:2] != (size, size):
            raise InputError(f"{file} is {arrays['image'].shape[1]} px wide; heads of {size} px are needed.")
        images.append(arrays["image"])
        depths.append(arrays["depth"])
    return TrainingHeads(np.stack(images), np.stack(depths))


def training_identity(folder: Path, count: int) -> dict[str, Any]:
    """What tells one set of training heads from another, without reading them all. Raises InputError as above."""
    made = folder.parent / SETTINGS_FILE
    try:
        settings = json.loads(made.read_text("utf-8")) if made.is_file() else None
    except (OSError, ValueError) as error:
        raise InputError(f"{made} cannot be read; make the heads again with `bozzetto bench make-heads`.") from error
    return {"count": len(head_files(folder)[:count]), "made_with": settings}


def order(seed: int, epoch: int, count: int) -> tuple[Tensor, Tensor]:
    """A permutation of the heads, and which of them are mirrored."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator), torch.rand(count, generator=generator) < 0.5


def chosen(seed: int, iteration: int, batch: int, count: int) -> tuple[Tensor, Tensor]:
    """The heads of an iteration and which are mirrored; epochs of whole batches, heads left over sit one out."""
    batch = min(batch, count)
    epoch, place = divmod(iteration, count // batch)
    heads, mirrored = order(seed, epoch, count)
    part = slice(place * batch, (place + 1) * batch)
    return heads[part], mirrored[part]


def predict_depth(net: Autoencoder, photo: Float[Tensor, "b 3 s s"], precision: str) -> Float[Tensor, "b 1 s s"]:
    """Depth in scene units, in the photo's pose."""
    with torch.autocast(photo.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        raw = net(door(photo))
    return depth_from_raw(raw.float(), RANGE)


def depth_loss(depth: Float[Tensor, "b 1 s s"], truth: Float[Tensor, "b 1 s s"]) -> Tensor:
    """Mean absolute error where the truth is known, in half ranges."""
    known = ~truth.isnan()
    error = torch.where(known, depth - truth.nan_to_num(), torch.zeros_like(depth)).abs()
    return error.sum() / known.sum().clamp(min=1) / RANGE.half


class Training:
    """One network on its way: made new, or taken from its folder."""

    def __init__(self, config: SupervisedConfig, size: int, seed: int, device: torch.device) -> None:
        self.config, self.seed, self.device = config, seed, device
        self.net = Autoencoder(size, 1, width=config.width)
        initialise(self.net, torch.Generator().manual_seed(seed))
        self.net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser: Adam = make_optimiser(
            list(self.net.parameters()), OptimConfig(), config.lr, fused=device.type in ("cpu", "cuda")
        )
        self.done, self.seconds, self.loss = 0, 0.0, math.nan

    def tensors(self) -> dict[str, Tensor]:
        """The whole state; without Adam's once all is done."""
        out = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        if self.done < self.config.iterations:
            for i, moments in self.optimiser.state_dict()["state"].items():
                out |= {f"adam.{i}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        return out

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Inverse of `tensors`."""
        self.net.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
        self.done, self.seconds, self.loss = facts["done"], facts["seconds"], facts["loss"]
        for i, parameter in enumerate(self.net.parameters()):
            if f"adam.{i}.step" in tensors:
                # Laid out as the parameter: one pass over memory needs both alike.
                moments = {n: torch.empty_like(parameter) for n in ("exp_avg", "exp_avg_sq")}
                for name, value in moments.items():
                    value.copy_(tensors[f"adam.{i}.{name}"])
                self.optimiser.state[parameter] = {"step": tensors[f"adam.{i}.step"].to(self.device), **moments}

    def step(self, heads: TrainingHeads) -> None:
        """One iteration."""
        config = self.config
        share = config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * self.done / config.iterations)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = config.lr * share
        photo, truth = heads.batch(*chosen(self.seed, self.done, config.batch, len(heads.image)), self.device)
        loss = depth_loss(predict_depth(self.net, photo, config.precision), truth)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.done += 1
        self.loss = loss.item()


def train(
    training: Training,
    load: Callable[[], TrainingHeads],
    identity: dict[str, Any],
    folder: Path,
    told: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> None:
    """Go on to the end, from the folder's state if there is one; the state is kept every minute and before a stop.

    Args:
        load: reads the heads; called if there is something left to train.
        identity: what tells them from others.

    Raises:
        OutputError: the folder holds a training of other settings, is damaged, or cannot be written.
        Interrupted: Ctrl-C, once the state is on disk.
    """
    partial, total = Partial(folder, {}), training.config.iterations
    settings = plain({"training": training.config, "seed": training.seed, "heads": identity})
    kept = partial.load(STATE)
    if kept is not None:
        differing = differences(kept[1]["settings"], settings)
        if differing:
            raise OutputError(
                f"{folder} holds a training of other settings ({', '.join(differing[:4])}); use another --json or "
                "delete it."
            )
        training.restore(*kept)
    if training.done >= total:
        return
    heads = load()
    folder.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        facts = {"settings": settings, "done": training.done, "seconds": training.seconds, "loss": training.loss}
        partial.save(STATE, training.tensors(), facts)

    with Interrupts(f"Stopped; {folder} keeps what is trained: the same command goes on.") as interrupts:
        interrupts.patient = True
        saved = time.monotonic()
        while training.done < total:
            start = time.perf_counter()
            training.step(heads)
            training.seconds += time.perf_counter() - start
            told(training.done, total, training.loss)
            if interrupts.asked is not None or training.done == total or time.monotonic() - saved > SAVE_EVERY_S:
                save()
                saved = time.monotonic()
            interrupts.raise_if_asked()


class Supervised:
    """A maker (bench/makers.py): trains one network a seed, when its first head is asked for."""

    def __init__(
        self,
        config: SupervisedConfig,
        heads: Path,
        folder: Path,
        size: int,
        device: torch.device,
        told: Callable[[int, int, float], None] = lambda done, total, loss: None,
    ) -> None:
        """`heads` is the folder of training heads, `folder` the one that the trainings are kept in."""
        self.config, self.folder, self.size, self.device, self.told = config, folder, size, device, told
        self.identity = training_identity(heads, config.heads)
        self.load = cache(lambda: read_training_heads(heads, config.heads, size))
        self._trained: dict[int, Training] = {}

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        found = plain({"training": self.config, "heads": self.identity, "seed": seed})
        assert isinstance(found, dict)
        return found

    def trained(self, seed: int) -> Training:
        """The network of a seed."""
        if seed not in self._trained:
            training = Training(self.config, self.size, seed, self.device)
            train(training, self.load, self.identity, self.folder / f"seed_{seed}", self.told)
            self._trained[seed] = training
        return self._trained[seed]

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        training = self.trained(seed or 0)
        start = time.perf_counter()
        with torch.no_grad():
            depth = predict_depth(training.net, heads.image.to(self.device), self.config.precision)[0].cpu()
        seconds = time.perf_counter() - start
        return Made(flat_shape(depth, heads.image[0]), seconds, {"training_seconds": training.seconds})
