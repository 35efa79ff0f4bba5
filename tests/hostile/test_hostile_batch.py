"""A batch of many photos does not grow: resident memory while its last photos are worked on is that of the first."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hostile_record import record
from hostile_run import FEW

from bozzetto.export.images import picture
from tiny_run import photo

PHOTOS = 200
COUNTED = 20  # the first and the last so many are compared
MOST = 1.05  # times the first ones' memory
DRAWN = ["--formats", "png", "sheet", "viewer", "glb", "--mask", "border"]
PROGRAM = "from bozzetto.cli.main import main; main()"


def resident_mb(process: int) -> float:
    """What a process holds in memory now."""
    with open(f"/proc/{process}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.hostile
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_hundred_photos_in_one_process(gan: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(PHOTOS):
        size = 16 + number % 7  # most of them are cropped and resized
        image = torch.nn.functional.interpolate(photo(number)[None], size=(size, size + number % 3))[0]
        picture(image.clamp(0, 1)).save(tmp_path / "photos" / f"{number:03}.png")
    out = tmp_path / "results"
    argv = ["reconstruct", tmp_path / "photos", "--gan", gan, *FEW, *DRAWN, "--out", out]
    held = []
    with (tmp_path / "told.txt").open("w") as told:  # a file: nobody reads a pipe before the end
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *argv],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        for line in process.stdout:  # a line a photo, when it is done
            assert Path(line.strip()).is_dir()
            held.append(resident_mb(process.pid))
    assert process.wait() == 0, (tmp_path / "told.txt").read_text()
    assert len(held) == PHOTOS
    first, last = (statistics.median(part) for part in (held[:COUNTED], held[-COUNTED:]))
    record(
        f"a batch of {PHOTOS} photos in one process",
        1,
        f"resident memory, median of the first {COUNTED}: {first:.0f} MB, of the last {COUNTED}: {last:.0f} MB",
    )
    assert last <= MOST * first, held
