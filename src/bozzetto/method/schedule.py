"""A fit as a list of phases, which one loop walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bozzetto.config import FitConfig

PhaseKind = Literal["prior", "albedo", "project", "collect", "factorise"]

# Time of an iteration relative to the others, until a kind's own is known (64 px, preset quick, on a CPU).
WEIGHTS = {"prior": 1.0, "albedo": 0.8, "project": 5.0, "collect": 1.8, "factorise": 10.0}


@dataclass(frozen=True)
class Phase:
    kind: PhaseKind
    stage: int  # 0 is the prior, stages count from 1
    iterations: int
    samples: int = 1  # Np
    mirror: bool = False  # add the losses of the mirrored object (steps 1 and 3)

    @property
    def title(self) -> str:
        return self.kind if self.stage == 0 else f"stage {self.stage} {self.kind}"


def phases(config: FitConfig, with_prior: bool) -> tuple[Phase, ...]:
    """Every phase of a fit in order; those without an iteration are left out."""
    rows: list[Phase] = []
    if with_prior:
        rows.append(Phase("prior", 0, config.prior.iterations))
    number = 0
    for stage in config.stages:
        for _ in range(stage.repeat):
            number += 1
            kept = config.project.collect_batches if config.project.collect == "redraw" else 1
            # One iteration draws as many samples as one batch holds.
            needed = min(kept, stage.factorise) if stage.samples else 0
            rows += [
                Phase("albedo", number, stage.albedo, stage.samples, stage.mirror_albedo),
                Phase("project", number, stage.project, stage.samples),
                Phase("collect", number, needed, stage.samples),
                Phase("factorise", number, stage.factorise, stage.samples, stage.mirror),
            ]
    return tuple(phase for phase in rows if phase.iterations > 0)


class TimeLeft:
    """Seconds to the end, from the mean time of each kind of phase so far."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = list(phases)
        self.ends = [sum(p.iterations for p in self.phases[: i + 1]) for i in range(len(self.phases))]
        self.spent: dict[str, float] = {}
        self.count: dict[str, int] = {}

    def add(self, phase: Phase, seconds: float) -> None:
        """An iteration of a phase took so long."""
        kind = phase.kind
        self.spent[kind] = self.spent.get(kind, 0.0) + seconds
        self.count[kind] = self.count.get(kind, 0) + 1

    def mean(self, kind: str) -> float:
        """Seconds of an iteration: measured, or guessed from the kinds that are known."""
        if kind in self.count:
            return self.spent[kind] / self.count[kind]
        known = sum(WEIGHTS.get(k, 1.0) * n for k, n in self.count.items())
        return WEIGHTS.get(kind, 1.0) * sum(self.spent.values()) / known if known else 0.0

    def seconds(self, done: int) -> float:
        """What is left after so many iterations of the whole fit; 0 before anything is known."""
        left = 0.0
        for phase, end in zip(self.phases, self.ends, strict=True):
            left += max(0, min(phase.iterations, end - done)) * self.mean(phase.kind)
        return left
