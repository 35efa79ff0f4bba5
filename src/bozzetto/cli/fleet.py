"""The progress of a batch on many machines, on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from bozzetto.batch import Order, Outcome
from bozzetto.cli.progress import Live, clock
from bozzetto.ray_engine import Standing, each_on_ray
from bozzetto.results import Reconstruction


class Fleet(Live):
    """A `ray_engine.Onlooker` for people."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.fields[tail]}", markup=False))
        super().__init__(console, columns)

    def on_standing(self, standing: Standing) -> None:
        if self.live:
            self.bar.update(self.task, completed=standing.done, total=standing.total, tail=told(standing))
        else:
            self.line(f"{standing.done} of {standing.total} photos, {told(standing)}")

    def outcomes(
        self, jobs: Sequence[tuple[Path, Path]], order: Order, address: str
    ) -> Iterator[Outcome[Reconstruction]]:
        """What comes of the photos on the cluster; the bar makes room for what is printed about each."""
        found = each_on_ray(jobs, order, address, self)
        with closing(found):  # type: ignore[type-var]
            for outcome in found:
                if self.live:
                    self.bar.stop()
                yield outcome
                if self.live:
                    self.bar.start()


def told(standing: Standing) -> str:
    """Speed, time left and failures, in a few words."""
    words = [f"{standing.workers} at once"]
    if standing.fresh:
        left = (standing.total - standing.done) / standing.per_hour * 3600
        words += [f"{standing.per_hour:.3g} photos/hour", f"{clock(left)} left"]
    if standing.failed:
        words.append(f"{standing.failed} failed")
    return ", ".join(words)
