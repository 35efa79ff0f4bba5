"""What the hostile tests work on: a tiny generator, and a result of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile_photos import RGB
from hostile_record import RECORDED
from hostile_run import FEW, PLAIN, run

from tiny_run import write_gan


@pytest.fixture(scope="session")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of 16 px."""
    return write_gan(tmp_path_factory.mktemp("gan") / "tiny.safetensors")


@pytest.fixture(scope="session")
def result(gan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder."""
    folder = tmp_path_factory.mktemp("result")
    RGB.save(folder / "photo.png")
    told = run(["reconstruct", folder / "photo.png", "--gan", gan, *FEW, *PLAIN, "--out", folder / "whole"])
    assert told.code == 0, told
    return folder / "whole"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was injected and what came of it."""
    if RECORDED:
        terminalreporter.section("faults injected")
    for fault, times, outcome in RECORDED:
        terminalreporter.write_line(f"| {fault} | {times} | {outcome} |")
