"""A fit as a list of phases, which one loop walks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bozzetto.config import FitConfig

PhaseKind = Literal["prior", "albedo", "project", "collect", "factorise"]


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
            needed = kept if stage.factorise > 0 else 0
            rows += [
                Phase("albedo", number, stage.albedo, stage.samples, stage.mirror_albedo),
                Phase("project", number, stage.project, stage.samples),
                Phase("collect", number, needed, stage.samples),
                Phase("factorise", number, stage.factorise, stage.samples, stage.mirror),
            ]
    return tuple(phase for phase in rows if phase.iterations > 0)
