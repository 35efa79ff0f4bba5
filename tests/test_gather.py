"""Gathering photos for a joint training: what is found of one does not depend on what was found before the stop."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import bozzetto.gather as gather
from bozzetto.config import TurnConfig
from bozzetto.gan.zoo import load_gan
from bozzetto.pipeline import plan
from bozzetto.results.partial import Partial
from tiny_run import CONFIG, INVERSION, photo, write_gan


def test_photos_gathered_after_a_stop_are_those_gathered_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With jitter, whose random numbers come behind those of the start samples; one photo a file."""
    monkeypatch.setattr(gather, "CHUNK", 1)
    teacher = load_gan(write_gan(tmp_path / "tiny.safetensors"))
    config = replace(CONFIG, stages=(), turn=TurnConfig(use=True))
    jittered = replace(INVERSION, steps=4, perturbation=0.5)

    def gathered(folder: Path) -> torch.Tensor:
        folder.mkdir(exist_ok=True)
        plans = [plan(photo(seed), teacher, mask="none", config=config, inversion=jittered) for seed in (5, 6)]
        plans = [replace(one, picture=replace(one.picture, name=f"photo {i}")) for i, one in enumerate(plans)]
        problem = gather.Gatherer(plans[0], Partial(folder, {}), lambda *told: None).gather(plans).problem
        assert problem.turned is not None
        return torch.cat((problem.latent.flatten(), problem.turned.view.flatten()))

    whole = gathered(tmp_path / "whole")
    files = sorted(path.name for path in (tmp_path / "whole").glob("photos_*"))
    assert len(files) == 2
    (tmp_path / "stopped").mkdir()
    shutil.copy(tmp_path / "whole" / files[0], tmp_path / "stopped")
    assert torch.equal(gathered(tmp_path / "stopped"), whole)
    shutil.rmtree(tmp_path / "stopped")
    jittered = replace(jittered, perturbation=0.0)
    assert not torch.equal(gathered(tmp_path / "stopped"), whole)  # the jitter does something


def test_a_photo_whose_object_nobody_finds_is_left_out(tmp_path: Path) -> None:
    """Alone it would be worked on whole; among others its backdrop would pass for shape."""
    teacher = load_gan(write_gan(tmp_path / "tiny.safetensors"))
    config = replace(CONFIG, stages=())
    flat = torch.full((3, 16, 16), 0.5)
    latent = teacher.w_mean()[None, None].expand(1, teacher.info.num_ws, -1)
    plans = [
        plan(one, teacher, mask=mask, config=config, inversion=INVERSION, latent=latent)
        for one, mask in ((photo(5), "none"), (flat, "auto"), (flat, "none"))
    ]
    plans = [replace(one, picture=replace(one.picture, name=f"photo {i}")) for i, one in enumerate(plans)]
    found = gather.Gatherer(plans[0], None, lambda *told: None).gather(plans)
    assert found.names == ["photo 0", "photo 2"]
    assert [(name, str(error)) for name, error in found.failed] == [
        ("photo 1", "its object was not found; --mask none takes photos whole")
    ]
