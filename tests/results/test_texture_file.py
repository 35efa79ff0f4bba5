"""The texture in a result folder: whole, as any program reads it, and never trusted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.errors import OutputError
from bozzetto.results import Reconstruction, read
from bozzetto.results.folder import RECORD, SCENE, TEXTURE


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def textured(record: Reconstruction) -> Reconstruction:
    noise = torch.randint(0, 256, (3, 70, 70), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    return dataclasses.replace(record, texture=noise)


def test_write_then_read_is_the_identity(textured: Reconstruction, tmp_path: Path) -> None:
    folder = textured.save(tmp_path / "r", formats=())
    assert {path.name for path in folder.iterdir()} == {RECORD, SCENE, TEXTURE}
    back = read(folder)
    assert textured.texture is not None
    assert back.texture is not None
    assert torch.equal(back.texture, textured.texture)
    with Image.open(folder / TEXTURE) as opened:  # as any program sees it: red, green, blue, from the top left
        assert (np.array(opened) == textured.texture.permute(1, 2, 0).numpy()).all()


def test_the_rest_of_the_folder_is_as_without_it(
    textured: Reconstruction, record: Reconstruction, tmp_path: Path
) -> None:
    with_it, without = (_content(one.save(tmp_path / n, formats=())) for one, n in ((textured, "a"), (record, "b")))
    assert with_it[SCENE] == without[SCENE]
    told = json.loads(with_it[RECORD])
    del told["files"]["texture"]
    assert told == json.loads(without[RECORD])
    assert read(tmp_path / "b").texture is None


def test_replaced_by_a_result_without_one_it_is_gone(
    textured: Reconstruction, record: Reconstruction, tmp_path: Path
) -> None:
    textured.save(tmp_path / "r", formats=())
    assert not (record.save(tmp_path / "r", formats=()) / TEXTURE).exists()


@pytest.mark.parametrize(
    ("mode", "size", "kind"),
    [("RGBA", (70, 70), "PNG"), ("RGB", (70, 71), "PNG"), ("RGB", (16, 16), "PNG"), ("RGB", (70, 70), "BMP")],
)
def test_a_file_that_is_no_texture_is_damage(
    textured: Reconstruction, tmp_path: Path, mode: str, size: tuple[int, int], kind: str
) -> None:
    folder = textured.save(tmp_path / "r", formats=())
    Image.new(mode, size).save(folder / TEXTURE, format=kind)
    sign(folder)
    with pytest.raises(OutputError, match="damaged"):
        read(folder)


def test_a_huge_or_cut_off_file_is_damage_and_takes_no_memory(textured: Reconstruction, tmp_path: Path) -> None:
    folder = textured.save(tmp_path / "r", formats=())
    whole = (folder / TEXTURE).read_bytes()
    (folder / TEXTURE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OutputError, match="checksum"):
        read(folder)
    width = (200_000).to_bytes(4, "big") * 2
    head = b"IHDR" + width + b"\x08\x02\x00\x00\x00"
    huge = whole[:12] + head + zlib.crc32(head).to_bytes(4, "big") + whole[33:]
    for content in (whole[: len(whole) // 2], huge):
        (folder / TEXTURE).write_bytes(content)
        sign(folder)
        with pytest.raises(OutputError, match="damaged"):
            read(folder)


def sign(folder: Path) -> None:
    files = json.loads((folder / RECORD).read_text())["files"]
    files["texture"]["sha256"] = hashlib.sha256((folder / TEXTURE).read_bytes()).hexdigest()
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**record, "files": files}))
