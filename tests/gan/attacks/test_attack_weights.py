"""Files whose numbers are the attack: weights that are none, and lengths that would fill the memory."""

from __future__ import annotations

import json
import struct
import tracemalloc
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


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, *tiny_networks(tiny_spec()), {}, torch.float32)
    assert load_gan(path).info.resolution == tiny_spec().resolution
    return path


def refused(path: Path, match: str) -> None:
    """The file is refused with little memory taken, whatever it says of its lengths."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=match):
            load_gan(path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("length", "match"),
    [(2**63 - 1, "no generator"), (2**40, "no generator"), (90_000_000, "cut off|damaged|header|whole")],
)
def test_headers_longer_than_the_file_are_refused(whole: Path, length: int, match: str) -> None:
    whole.write_bytes(struct.pack("<Q", length) + whole.read_bytes()[8:])
    refused(whole, match)


def test_a_tensor_said_to_be_larger_than_the_file_is_refused(whole: Path) -> None:
    content = whole.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    last = max((key for key in header if key != "__metadata__"), key=lambda key: header[key]["data_offsets"][1])
    header[last] |= {"shape": [2**40], "data_offsets": [header[last]["data_offsets"][0], 2**42]}
    text = json.dumps(header).encode()
    whole.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    refused(whole, "cut off|damaged|header|whole")
