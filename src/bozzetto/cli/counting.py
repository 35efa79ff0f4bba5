"""The progress of what counts to a known number, on stderr."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from bozzetto.cli.progress import Live


class Counting(Live):
    """A bar where there is a terminal, a line at the end of each part where there is none."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        super().__init__(None, columns)
        self.what = ""

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None:
        """How many of a part's pictures or steps are done."""
        text = what if loss is None else f"{what}  loss {loss:.3f}"
        if self.live and what != self.what:
            self.bar.reset(self.task, total=total)
        self.what = what
        if self.live:
            self.bar.update(self.task, description=text, completed=done, total=total)
        elif done == total:
            self.line(f"{text}: {done} of {total}")
