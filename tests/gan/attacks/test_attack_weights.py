"""Files whose numbers are the attack: weights that are none, and lengths that would fill the memory."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from rosinality_files import converted, trained, written
from tiny_gan import tiny_networks, tiny_spec

from bozzetto.errors import CheckpointError
from bozzetto.gan import load_gan
from bozzetto.gan.checkpoint import save_safetensors


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("make", [converted, trained])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, make: object, legacy: bool, number: float) -> None:
    content = make()  # type: ignore[operator]
    content["g_ema"]["conv1.conv.weight"].view(-1)[-1] = number
    path = tmp_path / "x.pt"
    path.write_bytes(written(content, legacy))
    with pytest.raises(CheckpointError, match="not finite"):
        load_gan(path)


@pytest.mark.parametrize("length", [2**63 - 1, 2**40, 200_000_000])
def test_headers_longer_than_the_file_are_refused_before_they_are_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, *tiny_networks(tiny_spec()), {}, torch.float32)
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with pytest.raises(CheckpointError):
        load_gan(path)


def test_a_tensor_said_to_be_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"g_ema.x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    with pytest.raises(CheckpointError):
        load_gan(path)
