"""The progress of a run on stderr: a bar where there is a terminal, a line a phase where there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from bozzetto.cli.complain import printable
from bozzetto.method.instance import Event
from bozzetto.method.schedule import Phase, TimeLeft

SHOWN_TERMS = 5


Own = TypeVar("Own", bound="Live")


class Live:
    """A bar on stderr where that is a terminal, for as long as a `with` block lasts; lines that stay in any case."""

    def __init__(self, console: Console | None, columns: Sequence[ProgressColumn], title: str = "") -> None:
        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal
        self.bar = Bar(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task(title, total=None, tail="")

    def __enter__(self: Own) -> Own:
        if self.live:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.bar.stop()

    def on_note(self, text: str) -> None:
        self.line(f"Note: {text}")

    def line(self, text: str) -> None:
        """A line that stays, above the bar."""
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


class Shown(Live):
    """A `keep.Progress` for people."""

    def __init__(
        self, phases: Sequence[Phase], title: str = "", console: Console | None = None, terse: bool = False
    ) -> None:
        console, title = console or Console(stderr=True), printable(title)
        name = Column(no_wrap=True, min_width=len(title) + 18)
        count = MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9))
        tail = TextColumn("{task.fields[tail]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        columns = (
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(bar_width=10),
            count,
            tail,
        )
        super().__init__(console, columns, title)
        self.title, self.terse = title, terse
        self.left = TimeLeft(phases)
        # As many losses as the line has room for.
        self.shown = max(1, min(SHOWN_TERMS, (console.width - len(title) - 52) // 18))
        self.start = time.monotonic()
        self.phase: Phase | None = None

    def on_inversion(self, done: int, total: int, terms: Mapping[str, float]) -> None:
        if self.live:
            self.bar.update(
                self.task, description=f"{self.title} latent".strip(), completed=done, total=total, tail=told(terms)
            )
        elif "psnr_db" in terms and not self.terse:  # the last word on it
            self.line(f"latent: {told(terms)}")

    def on_iteration(self, event: Event) -> None:
        self.left.add(event.phase, event.seconds)
        phase = event.phase
        if self.live:
            tail = f"{clock(self.left.seconds(event.done))} left  {told(event.terms, self.shown)}"
            name = f"{self.title} {phase.title}".strip()
            self.bar.update(self.task, description=name, completed=event.iteration, total=phase.iterations, tail=tail)
        if event.iteration == phase.iterations and not self.terse:
            spent, left = clock(time.monotonic() - self.start), clock(self.left.seconds(event.done))
            terms = f"  {told(event.terms)}" if event.terms else ""
            self.line(f"{phase.title}{terms}  ({spent}, {left} left)")


def told(terms: Mapping[str, float], count: int = SHOWN_TERMS) -> str:
    """Losses in a few words."""
    return " ".join(f"{name} {value:.4g}" for name, value in list(terms.items())[:count])


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
