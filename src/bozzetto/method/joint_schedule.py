"""A joint training as a list of phases, and which photos each of their iterations takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bozzetto.config import GeneralConfig, Round
from bozzetto.method.schedule import Phase
from bozzetto.seeds import seeded

ORDER, DRAW = 1, 2  # streams of random numbers


@dataclass(frozen=True)
class JointPhase:
    """One kind of step during one visit."""

    step: Phase
    epoch: int  # over all rounds, from 1; 0 is the prior
    visit: int | None  # number of the epoch's batch; None: all photos
    ends_epoch: bool = False

    @property
    def title(self) -> str:
        return self.step.kind if self.epoch == 0 else f"epoch {self.epoch} {self.step.kind}"


def visits(photos: int, batch: int) -> int:
    """Batches of an epoch; the last one is filled up with the photos that the epoch began with."""
    return math.ceil(photos / min(batch, photos))


def joint_phases(config: GeneralConfig, photos: int, with_prior: bool) -> tuple[JointPhase, ...]:
    """Every phase in order; those without an iteration are left out."""
    count = visits(photos, config.batch)
    rows: list[JointPhase] = []
    if with_prior and config.prior_epochs > 0:
        rows.append(JointPhase(Phase("prior", 0, config.prior_epochs * count), 0, None, ends_epoch=True))
    epoch = 0
    for number, part in enumerate(config.rounds, 1):
        for _ in range(part.epochs):
            epoch += 1
            for visit in range(count) if part.visit == "batch" else (None,):
                steps = [step for step in _steps(config, part, number, visit, count) if step.iterations > 0]
                rows += [JointPhase(step, epoch, visit) for step in steps]
            if rows and rows[-1].epoch == epoch:
                rows[-1] = JointPhase(rows[-1].step, epoch, rows[-1].visit, ends_epoch=True)
    return tuple(rows)


def _steps(config: GeneralConfig, part: Round, number: int, visit: int | None, count: int) -> list[Phase]:
    kept = config.fit.project.collect_batches if config.fit.project.collect == "redraw" else 1
    collect = 0 if part.factorise == 0 else kept * (count if visit is None else 1)
    return [
        Phase("albedo", number, part.albedo, part.samples, part.mirror_albedo),
        Phase("project", number, part.project, part.samples),
        Phase("collect", number, collect, part.samples),
        Phase("factorise", number, part.factorise, part.samples, part.mirror),
    ]


def batch_of(phase: JointPhase, number: int, iteration: int, seed: int, photos: int, batch: int) -> Tensor:
    """The photos that an iteration takes: [batch], long; the same in every process.

    Args:
        number: of the phase in the schedule.
        iteration: of the phase, from 0.
    """
    batch = min(batch, photos)
    count = visits(photos, batch)
    if phase.visit is not None:
        place, order = phase.visit, torch.randperm(photos, generator=seeded(seed, ORDER, phase.epoch))
    elif phase.step.kind == "collect":
        place, order = iteration % count, torch.arange(photos)  # every photo in turn
    else:
        epoch, place = divmod(iteration, count)
        order = torch.randperm(photos, generator=seeded(seed, DRAW, number, epoch))
    return order.repeat(2)[place * batch : (place + 1) * batch]
