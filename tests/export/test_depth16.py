from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from bozzetto.errors import OutputError
from bozzetto.export.depth16 import Depth16Scale, decode, encode, read_depth16, scale_for, write_depth16
from bozzetto.export.images import write_png
from bozzetto.types import DepthRange


def _depth(seed: int = 0) -> torch.Tensor:
    return 0.9 + 0.2 * torch.rand(1, 33, 21, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_stored_depth_is_within_half_a_quantum(tmp_path: Path) -> None:
    depth = _depth()
    scale = scale_for(depth, DepthRange())
    read, stored = read_depth16(write_depth16(depth, tmp_path / "d.png", scale))
    assert stored == scale
    assert (read - depth).abs().max() <= scale.quantum / 2 * (1 + 1e-9)
    assert Image.open(tmp_path / "d.png").mode == "I;16"


def test_every_code_reads_back_as_itself() -> None:
    scale = Depth16Scale(0.9, 1.1)
    codes = torch.arange(65536).reshape(256, 256).numpy().astype("uint16")
    assert (encode(decode(codes, scale), scale) == codes).all()


def test_no_surface_is_code_zero_and_reads_as_nan(tmp_path: Path) -> None:
    depth, mask = _depth(), torch.ones(1, 33, 21)
    depth[0, 3, 3], mask[0, 5, 5] = float("nan"), 0.0
    read, _ = read_depth16(write_depth16(depth, tmp_path / "d.png", scale_for(depth, DepthRange(), mask), mask))
    assert read.isnan().sum() == 2
    assert read[0, 3, 3].isnan()
    assert read[0, 5, 5].isnan()


def test_scale_widens_for_depths_beyond_the_range_but_not_for_masked_ones() -> None:
    depth, mask = _depth(), torch.ones(1, 33, 21)
    depth[0, 0, 0], depth[0, 1, 1], mask[0, 1, 1] = 1.25, 9.0, 0.0
    assert scale_for(depth, DepthRange(), mask) == Depth16Scale(0.9, 1.25)


def test_another_picture_is_refused(tmp_path: Path) -> None:
    plain = write_png(torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)), tmp_path / "plain.png")
    for path in (plain, tmp_path / "missing.png"):
        with pytest.raises(OutputError):
            read_depth16(path)
