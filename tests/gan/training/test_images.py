"""Reading the pictures a generator is trained on."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.errors import InputError
from bozzetto.gan.training.images import load_images, to_network
from bozzetto.photo import read_photo


def png(value: int, width: int = 16, height: int = 16) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), value, dtype=np.uint8)).save(out, format="PNG")
    return out.getvalue()


def make_tar(path: Path, count: int) -> Path:
    with tarfile.open(path, "w") as tar:
        for i in reversed(range(count)):  # stored in another order than that of the names
            data = png(i)
            member = tarfile.TarInfo(f"a/{i:03d}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def make_folder(path: Path, count: int) -> Path:
    (path / "a").mkdir(parents=True)
    for i in range(count):
        (path / "a" / f"{i:03d}.png").write_bytes(png(i))
    return path


def test_folder_and_tar_give_the_same_pictures_in_the_order_of_names(tmp_path: Path) -> None:
    tar = load_images(make_tar(tmp_path / "x.tar", 70), 16)
    folder = load_images(make_folder(tmp_path / "x", 70), 16)
    assert torch.equal(tar, folder)
    assert tar[:, 0, 0, 0].tolist() == list(range(70))
    assert tar.shape == (70, 3, 16, 16)


def test_bad_pictures_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "x", 67)
    (folder / "a" / "010.png").write_bytes(b"no picture")
    bomb = bytearray(png(9))
    bomb[16:24] = struct.pack(">II", 20_000, 20_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    (folder / "a" / "030.png").write_bytes(bomb)
    (folder / "a" / "020.png").write_bytes(png(9)[:40])
    said: list[str] = []
    images = load_images(folder, 16, on_bad=said.append)
    assert len(images) == 64
    assert len(said) == 3
    assert all("left out" in text for text in said)


def test_pictures_are_read_as_photos_are(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "x", 64)
    ramp = np.zeros((32, 32, 3), dtype=np.uint8)
    ramp[..., 0] = np.arange(32)[:, None] * 8
    sideways = Image.fromarray(ramp)
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways.save(folder / "b0.png", exif=exif)
    clear = np.full((16, 16, 4), (255, 0, 0, 0), dtype=np.uint8)
    clear[:8, :, 3] = 255
    Image.fromarray(clear).save(folder / "b1.png")
    Image.fromarray(np.full((16, 16), 30000, dtype=np.uint16)).save(folder / "b2.png")
    upright, laid, deep = load_images(folder, 16)[-3:]
    for image, name in ((upright, "b0.png"), (laid, "b1.png"), (deep, "b2.png")):
        photo = read_photo(folder / name, 16).image
        assert (image / 255 - photo).abs().max() < 1.5 / 255, name
    assert (upright[0, 0] == upright[0, -1]).all()
    assert upright[0, 0, 0] > upright[0, 0, -1] + 200
    assert laid[:, 0, 0].tolist() == [255, 0, 0]
    assert laid[:, -1, 0].tolist() == [255, 255, 255]
    assert deep.unique().tolist() == [round(30000 / 65535 * 255)]


def test_middle_square_is_taken(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "x", 64)
    wide = np.zeros((16, 48, 3), dtype=np.uint8)
    wide[:, 16:32] = 200
    Image.fromarray(wide).save(folder / "a" / "000.png")
    assert (load_images(folder, 16)[0] == 200).all()


def test_limit_takes_the_first(tmp_path: Path) -> None:
    assert len(load_images(make_folder(tmp_path / "x", 80), 16, limit=65)) == 65


@pytest.mark.parametrize("what", ["few", "missing", "text"])
def test_too_little_is_one_sentence(tmp_path: Path, what: str) -> None:
    source = tmp_path / "x"
    if what == "few":
        make_folder(source, 5)
    elif what == "text":
        source.write_text("not a tar")
    with pytest.raises(InputError, match=r"at least 64|neither a folder"):
        load_images(source, 16)


def test_bytes_cover_minus_one_to_one() -> None:
    x = to_network(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 2, 2))
    assert x.min() == -1
    assert x.max() == 1
