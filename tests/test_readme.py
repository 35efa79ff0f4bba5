"""The Python of the README runs, and its comments tell the truth."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import bozzetto
from bozzetto.config import FitConfig, NetConfig, PriorConfig, ProjectConfig, Stage, TurnConfig
from bozzetto.gan.invert import InvertConfig

ROOT = Path(__file__).parents[1]

# As the README has it, but for the time it takes: one iteration of everything.
SHORT = FitConfig(
    stages=(Stage(1, 1, 1, samples=1),),
    project=ProjectConfig(collect_batches=1),
    prior=PriorConfig(iterations=1),
    turn=TurnConfig(use=False),
    nets=NetConfig(width=0.25),
    texture="photo",
)
HASTY = InvertConfig(steps=1, start_samples=64)


def test_the_python_of_the_readme_runs_and_has_the_shapes_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (block,) = re.findall(r"(?ms)^```python\n(.*?)^```", readme)
    hasty = partial(bozzetto.reconstruct, config=SHORT, inversion=HASTY, formats=())
    monkeypatch.setattr(bozzetto, "reconstruct", hasty)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    names: dict[str, Any] = {}
    shapes = 0
    for line in filter(None, block.splitlines()):
        code, _, comment = line.partition("#")
        exec(code, names)
        told = [[int(n) for n in shape.split(",")] for shape in re.findall(r"\[(\d[\d, ]*)\]", comment)]
        if told:
            assigned = re.match(r"(\w+) = ", code)
            value = names[assigned[1]] if assigned else eval(code, names)
            values = value if isinstance(value, tuple) else (value,)
            assert [list(v.shape) for v in values] == told, line
            shapes += len(told)
    assert shapes >= 8
    assert torch.equal(names["again"], names["result"].mask)
    assert names["seconds"] > 0
