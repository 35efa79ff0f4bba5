"""Pickles of the TensorFlow era, written here as they were written: the networks that come back are those."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nvlabs_files as files
import pytest
import torch
from nvlabs_files import dump
from test_from_nvlabs import W_AVG, both_ways, check_same
from tiny_gan import tiny_networks, tiny_spec

from bozzetto.errors import CheckpointError
from bozzetto.gan import load_gan


@pytest.mark.parametrize("arch", ["skip", "resnet"])
def test_tensorflow_comes_back(tmp_path: Path, rng: torch.Generator, arch: str) -> None:
    g, d = tiny_networks(tiny_spec(generator=arch, discriminator="resnet"))
    path = dump(tmp_path / "x.pkl", files.networks(g, d, W_AVG))
    for gan in both_ways(path, tmp_path):
        check_same(gan, g, d, rng)
        assert gan.generator.spec.conv_clamp is None


def test_tensorflow_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    g, d = tiny_networks(tiny_spec(8))

    def spoiled(change: Callable[[files.Network, files.Network], Any]) -> Path:
        nets = files.networks(g, d, W_AVG)
        change(nets[2], nets[1])
        return dump(tmp_path / "x.pkl", nets)

    for change, complaint in (
        (lambda g, d: g.settings.update(nonlinearity="relu"), "nonlinearity"),
        (lambda g, d: g.settings.update(spectral_norm=True), "'spectral_norm'"),
        (lambda g, d: g.variables.update({"ToRGB_lod0/weight": W_AVG.numpy()}), "ToRGB_lod0"),
        (lambda g, d: g.variables.pop("dlatent_avg") is None, None),
        (lambda g, d: g.components["mapping"].variables.pop("Dense1/bias"), "lacks the tensor 'mapping.fc1.bias'"),
        (lambda g, d: d.variables.update({"Output/weight": W_AVG.numpy()}), "shape|axes"),
        (lambda g, d: d.variables.update({"Output/weight": "text"}), "without numbers"),
    ):
        if complaint is None:
            assert load_gan(spoiled(change)).w_avg is None
            continue
        with pytest.raises(CheckpointError, match=complaint):
            load_gan(spoiled(change))
