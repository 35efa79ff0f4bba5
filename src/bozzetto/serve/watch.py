"""A progress that reports by messages, and draws the object every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bozzetto.export.images import write_png
from bozzetto.ingredients import Plan
from bozzetto.method.instance import Event
from bozzetto.method.schedule import Phase, TimeLeft
from bozzetto.results import Reconstruction
from bozzetto.serve.preview import draw
from bozzetto.serve.store import PREVIEW

REPORT_EVERY_S = 0.2
DRAW_EVERY_S = 2.0
DRAW_SHARE = 0.15  # of the time at most goes into drawing
LATENT = "latent"  # what the inversion is called among the phases

Message = dict[str, Any]


class Watching:
    """A `keep.Onlooker`. Messages are JSON objects whose "event" says what they are: plan, note, progress, preview."""

    def __init__(self, send: Callable[[Message], None], folder: Path) -> None:
        self.send, self.folder = send, folder
        self.left = TimeLeft(())
        self.spent_s = 0.0
        self.drawn = 0
        self.bare = False  # the albedo has learned nothing yet
        self._reported_at = self._drawn_at = float("-inf")
        self._drawing_s = 0.0

    def begin(self, job: Plan, phases: Sequence[Phase]) -> None:
        """Tell what is going to be done, and show what was cut out of the photo."""
        self.left = TimeLeft(phases)
        self.bare = job.general is None
        self.send({"event": "plan", "phases": [LATENT, *(p.title for p in phases)], "size": job.camera.size})
        write_png(job.picture.image, self.folder / PREVIEW.format("photo"))
        self._shown()

    def on_note(self, text: str) -> None:
        self.send({"event": "note", "text": text})

    def on_inversion(self, done: int, total: int, terms: Mapping[str, float]) -> None:
        if "loss" in terms:  # the last call has the signal to noise ratio instead
            self._report(LATENT, done, total, 0.0, None, terms["loss"], terms)

    def on_iteration(self, event: Event) -> None:
        self.left.add(event.phase, event.seconds)
        self.spent_s += event.seconds
        left_s = self.left.seconds(event.done)
        share = self.spent_s / max(self.spent_s + left_s, 1e-9)
        loss = event.terms.get("total", event.terms.get("prior"))
        phase = event.phase
        self.bare = self.bare and phase.kind == "prior"
        self._report(phase.title, event.iteration, phase.iterations, share, left_s, loss, event.terms)

    def _report(
        self,
        phase: str,
        done: int,
        total: int,
        share: float,
        left_s: float | None,
        loss: float | None,
        terms: Mapping[str, float],
    ) -> None:
        now = time.monotonic()
        if done < total and now - self._reported_at < REPORT_EVERY_S:
            return
        self._reported_at = now
        counted = {"phase": phase, "done": done, "total": total, "share": share, "left_s": left_s}
        self.send({"event": "progress", **counted, "loss": loss, "terms": dict(terms)})

    def on_state(self, current: Callable[[], Reconstruction]) -> None:
        if time.monotonic() - self._drawn_at >= max(DRAW_EVERY_S, self._drawing_s / DRAW_SHARE):
            start = time.monotonic()
            self.show(current())
            self._drawn_at = time.monotonic()
            self._drawing_s = self._drawn_at - start

    def show(self, scene: Reconstruction) -> None:
        """Draw the object into the job's folder, every picture whole or not at all."""
        for name, picture in draw(scene, self.bare).items():
            write_png(picture, self.folder / PREVIEW.format(name))
        self._shown()

    def _shown(self) -> None:
        self.drawn += 1
        self.send({"event": "preview", "number": self.drawn})
