"""Settings of a training that can be worked with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from bozzetto.errors import InputError
from bozzetto.gan.training.trainer import TrainConfig


class Range(NamedTuple):
    """A setting's value and the numbers that it may be; None stands for a default and always may."""

    name: str
    value: float | None
    least: float
    most: float = math.inf
    open: bool = False  # least and most themselves may not be

    def check(self) -> None:
        """Raise InputError, one sentence."""
        if self.value is None:
            return
        inside = self.least < self.value < self.most if self.open else self.least <= self.value <= self.most
        if inside and self.value != math.inf:
            return
        if math.isinf(self.most):
            wanted = f"finite and over {self.least:g}" if self.open else f"finite and at least {self.least:g}"
        else:
            wanted = f"{'between' if self.open else 'from'} {self.least:g} {'and' if self.open else 'to'} {self.most:g}"
        raise InputError(f"{self.name} must be {wanted}, not {self.value}.")


def check_train(config: TrainConfig) -> None:
    """Raise InputError for numbers that no training can be done with."""
    check_ranges(
        (
            Range("batch", config.batch, 1, 4096),
            Range("learning_rate", config.learning_rate, 0, 1, open=True),
            Range("beta2", config.beta2, 0, 1, open=True),
            Range("r1_weight", config.r1_weight, 0),
            Range("r1_interval", config.r1_interval, 0),
            Range("path_weight", config.path_weight, 0),
            Range("path_interval", config.path_interval, 1),
            Range("path_share", config.path_share, 0, 1),
            Range("mixing", config.mixing, 0, 1),
            Range("ema_images", config.ema_images, 0, open=True),
            Range("ema_rampup", config.ema_rampup, 0, open=True),
            Range("shift", config.shift, 0, 0.5),
            Range("augmentation.target", config.augmentation.target, -1, 1),
            Range("augmentation.interval", config.augmentation.interval, 1),
            Range("augmentation.speed_images", config.augmentation.speed_images, 0, open=True),
            Range("augmentation.p_max", config.augmentation.p_max, 0, 1),
        )
    )


def check_ranges(ranges: Iterable[Range]) -> None:
    for one in ranges:
        one.check()
