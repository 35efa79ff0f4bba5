"""What watches over a run: keeps its state on disk, hands interrupts on between two iterations, tells the progress."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, Protocol, runtime_checkable

from bozzetto.errors import OutputError
from bozzetto.method.instance import Event, moves_at
from bozzetto.method.problem import Problem
from bozzetto.method.state import FitState
from bozzetto.results import Reconstruction
from bozzetto.results.partial import STATE, Partial

SAVE_EVERY_S = 20.0
SAVE_SHARE = 0.05  # of the time at most goes into saving

_log = logging.getLogger("bozzetto")


@runtime_checkable
class Progress(Protocol):
    """Hears what a run is doing."""

    def on_note(self, text: str) -> None:
        """A sentence that the user should read."""
        ...

    def on_inversion(self, done: int, total: int, terms: Mapping[str, float]) -> None: ...

    def on_iteration(self, event: Event) -> None: ...


@runtime_checkable
class CountProgress(Protocol):
    """Hears how far something has come that counts to a known number."""

    def on_note(self, text: str) -> None: ...

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None: ...


@runtime_checkable
class Onlooker(Progress, Protocol):
    """A progress that also looks at the object while it is being fitted."""

    def on_state(self, current: Callable[[], Reconstruction]) -> None:
        """Called between two iterations. `current` makes the record of the object as it is now, in this call only."""
        ...


class Quiet:
    """Hears everything and hands only the notes to the log."""

    def on_note(self, text: str) -> None:
        _log.warning(text)

    def on_inversion(self, done: int, total: int, terms: Mapping[str, float]) -> None:
        return None

    def on_iteration(self, event: Event) -> None:
        return None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a request to end; the message says what was kept and how to go on."""

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class Interrupts:
    """Catches SIGINT and SIGTERM in a `with` block of the main thread.

    Raises Interrupted at once; while `patient`, the first one is only noted in `asked`, and the second raises.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.patient = False
        self.asked: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # what is ignored stays ignored
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.patient and self.asked is None:
            self.asked = number
        else:
            raise Interrupted(self.message, number)

    def raise_if_asked(self) -> None:
        """Raise Interrupted if a signal came while patient."""
        if self.asked is not None:
            raise Interrupted(self.message, self.asked)


class Keeper:
    """A fit's watcher: logs every iteration and saves the state now and then, before an interrupt in any case."""

    def __init__(self, partial: Partial | None, interrupts: Interrupts, progress: Progress) -> None:
        self.partial, self.interrupts, self.progress = partial, interrupts, progress
        self.log: list[dict[str, Any]] = []
        self.current: Callable[[], Reconstruction] | None = None  # for onlookers
        self._total = 0
        self._saved_at = time.monotonic()
        self._saving_s = 0.0

    def restore(self, state: FitState, problem: Problem) -> None:
        """Bring a fresh state to where the working folder has it, if it has one."""
        found = self.partial.load(STATE) if self.partial else None
        if self.partial and found:
            tensors, facts = found
            try:
                moves = moves_at(problem, int(tensors["position"][0]))
                state.restore(tensors, moves, problem.config.optim, problem.config.compute.fused_adam)
                self.log = self.partial.load_log(facts["done"])
            except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
                folder = self.partial.folder
                raise OutputError(
                    f"{folder / STATE} is no state of this fit; delete {folder} or start over with --overwrite."
                ) from error

    def on_iteration(self, event: Event) -> None:
        while self.log and self.log[-1]["done"] >= event.done:
            self.log.pop()  # the networks went back: what came of it is undone
        where = {"phase": event.phase.title, "iteration": event.iteration, "done": event.done}
        self.log.append({**where, "seconds": round(event.seconds, 6), **event.terms})
        self._total = event.total
        self.progress.on_iteration(event)

    def on_state(self, state: FitState) -> None:
        asked = self.interrupts.asked is not None  # once: what comes while this runs is for the next time, and saved
        if self.partial and (asked or self._is_time(state)):
            self._save(self.partial, state)
        if asked:
            self.interrupts.raise_if_asked()
        if self.current is not None and isinstance(self.progress, Onlooker):
            self.progress.on_state(self.current)

    def _is_time(self, state: FitState) -> bool:
        waited = time.monotonic() - self._saved_at
        at_phase_end = state.iteration == 0
        return waited >= self._saving_s / SAVE_SHARE and (at_phase_end or waited >= SAVE_EVERY_S)

    def _save(self, partial: Partial, state: FitState) -> None:
        start = time.monotonic()
        last = self.log[-1]
        # The log first: lines that run ahead of the state are cut off when it is read.
        partial.save_log(self.log)
        partial.save(STATE, state.tensors(copy=False), {"done": last["done"]})
        seconds = round(sum(line["seconds"] for line in self.log), 3)
        partial.save_progress({**{k: last[k] for k in ("phase", "done")}, "total": self._total, "seconds": seconds})
        self._saved_at = time.monotonic()
        self._saving_s = self._saved_at - start

    def seconds(self) -> dict[str, float]:
        """Time of each phase, over all sessions."""
        out: dict[str, float] = {}
        for line in self.log:
            out[line["phase"]] = out.get(line["phase"], 0.0) + line["seconds"]
        return out

    def losses(self) -> dict[str, dict[str, float]]:
        """The last value of every loss term of each phase."""
        other = ("phase", "iteration", "done", "seconds")
        last = {line["phase"]: line for line in self.log}
        return {phase: {k: v for k, v in line.items() if k not in other} for phase, line in last.items()}
