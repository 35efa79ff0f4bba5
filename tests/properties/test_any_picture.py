"""Masks and photos: whatever bytes an image file holds, pixels come out, or one sentence."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from anything import damaged, examples, value_or_sentence
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from bozzetto.bench.truth_files import read_depth_file
from bozzetto.export.depth16 import Depth16Scale, write_depth16
from bozzetto.photo import read_photo
from bozzetto.segment.file import read_mask, read_whole_mask

SIDE = 16
MEMORY_MB = 800  # the most pixels that are decoded, with four channels
FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "TGA", "JPEG2000")


def disc(mode: str) -> Image.Image:
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = ((x - 8) ** 2 + (y - 8) ** 2 < 30).astype(np.uint8) * 255
    image = Image.fromarray(inside)
    if mode == "RGBA":
        whole = Image.new("RGBA", image.size, "red")
        whole.putalpha(image)
        return whole
    return image.convert(mode)


def written(kind: str, mode: str = "L", **more: object) -> bytes:
    stream = io.BytesIO()
    disc(mode).save(stream, kind, **more)
    return stream.getvalue()


def files(kind: str) -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    more: dict[str, object] = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    modes = {"GIF": ["P"], "JPEG": ["L", "RGB", "CMYK"], "BMP": ["L", "RGB"], "PPM": ["L", "RGB"]}
    return [written(kind, mode, **more) for mode in modes.get(kind, ["L", "RGB", "RGBA"])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("kind", FORMATS)
def test_any_bytes_are_a_mask_and_a_photo_or_refused(kind: str, folder: Path) -> None:
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    path = folder / "picture.bin"

    @examples(60)
    @given(damaged(*files(kind)))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        mask = value_or_sentence(lambda: read_mask(path, 8, (SIDE, SIDE)), folder, MEMORY_MB)
        assert mask is None or (mask.shape == (1, 8, 8) and 0 <= float(mask.min()) <= float(mask.max()) <= 1)
        value_or_sentence(lambda: read_whole_mask(path, (SIDE, SIDE)), folder, MEMORY_MB)
        photo = value_or_sentence(lambda: read_photo(path, 8), folder, MEMORY_MB)
        assert photo is None or bool(photo.image.isfinite().all())

    check()


@examples(60)
@given(arrays.arrays(np.uint8, (SIDE, SIDE)))
def test_a_drawn_mask_comes_back(folder: Path, values: np.ndarray) -> None:
    values[:8], values[0, 0], values[-1, -1] = 0, 255, 255
    values[8:12] = 255
    path = folder / "mask.png"
    Image.fromarray(values).save(path)
    mask = read_mask(path, SIDE, (SIDE, SIDE))
    assert torch.equal(mask[0], torch.from_numpy(values).float() / 255)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".png"])
def test_any_bytes_are_true_depth_or_refused(suffix: str, folder: Path) -> None:
    path = folder / f"depth{suffix}"
    depth = np.linspace(0.9, 1.1, 64, dtype=np.float32).reshape(8, 8)
    if suffix == ".npy":
        np.save(path, depth)
    elif suffix == ".npz":
        np.savez(path, depth=depth, mask=depth > 1, normal=np.ones((8, 8, 3), np.float32))
    else:
        write_depth16(torch.from_numpy(depth)[None], path, Depth16Scale(0.9, 1.1))
    whole = path.read_bytes()

    @examples(40)
    @given(damaged(whole))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = value_or_sentence(lambda: read_depth_file(path), folder)
        assert found is None or bool((found.depth > 0).any())

    check()


@examples(40)
@given(arrays.arrays(np.float32, (4, 5), elements=st.floats(0.5, 100, width=32)))
def test_true_depth_comes_back(folder: Path, values: np.ndarray) -> None:
    np.savez(folder / "whole.npz", depth=values)
    assert np.array_equal(read_depth_file(folder / "whole.npz").depth, values)
