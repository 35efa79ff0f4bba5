"""The progress: a line a phase without a terminal, one line in a narrow one, and an honest guess of what is left."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bozzetto.cli.progress import Shown, clock
from bozzetto.keep import Progress
from bozzetto.method.instance import Event
from bozzetto.method.schedule import WEIGHTS, Phase, TimeLeft

PHASES = (Phase("prior", 0, 4), Phase("albedo", 1, 2), Phase("factorise", 1, 3))
SECONDS = {"prior": 0.5, "albedo": 1.0, "factorise": 7.0}
TERMS = {"total": 1.25, "l1": 0.4, "perceptual": 0.22, "smooth_depth": 0.1, "smooth_light": 0.1, "offset": 0.1}


def events() -> list[Event]:
    found, done = [], 0
    for phase in PHASES:
        for i in range(phase.iterations):
            done += 1
            found.append(Event(phase, i + 1, done, 9, TERMS, SECONDS[phase.kind]))
    return found


def shown(console: Console, terse: bool = False) -> None:
    with Shown(PHASES, "a.png", console, terse) as progress:
        assert isinstance(progress, Progress)
        progress.on_inversion(1, 2, {"loss": 0.5})
        progress.on_inversion(2, 2, {"psnr_db": 21.5})
        progress.on_note("The mask covers [everything].")
        for event in events():
            progress.on_iteration(event)


def test_without_a_terminal_there_is_a_line_a_phase() -> None:
    out = io.StringIO()
    shown(Console(file=out, force_terminal=False, width=60))
    lines = out.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        *("latent: psnr_db 21.5", "Note: The mask covers [everything].", "prior", "stage 1 albedo"),
        "stage 1 factorise",
    ]
    assert lines[-1].endswith("0:00 left)")
    out = io.StringIO()
    shown(Console(file=out, force_terminal=False, width=60), terse=True)
    assert out.getvalue() == "Note: The mask covers [everything].\n"


def test_the_bar_fits_a_terminal_of_80_columns() -> None:
    out = io.StringIO()
    shown(Console(file=out, force_terminal=True, width=80, color_system=None))
    drawn = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue()))
    bars = [line for line in drawn if "━" in line and "left" in line]
    assert bars
    for line in bars:
        assert "…" not in line
        assert len(line) <= 80


def test_what_is_left_is_known_once_every_kind_was_seen() -> None:
    left, others = TimeLeft(PHASES), 2 * WEIGHTS["albedo"] + 3 * WEIGHTS["factorise"]
    assert left.seconds(0) == 0  # nothing is known yet
    told = []
    for event in events():
        left.add(event.phase, event.seconds)
        told.append(left.seconds(event.done))
    assert told[0] == pytest.approx(3 * 0.5 + 0.5 * others)  # other kinds by their usual weight
    assert told[6:] == [14.0, 7.0, 0.0]


def test_an_early_stop_leaves_the_rest() -> None:
    left, others = TimeLeft(PHASES), 2 * WEIGHTS["albedo"] + 3 * WEIGHTS["factorise"]
    left.add(PHASES[0], 1.0)  # the prior was reached in its first iteration
    assert left.seconds(4) == pytest.approx(others)


def test_clocks() -> None:
    assert [clock(s) for s in (0.0, 59.6, 61.0, 3600.0, 7325.0)] == ["0:00", "1:00", "1:01", "1:00:00", "2:02:05"]
