"""Masks from alpha, files and networks, and the choice among them."""

from __future__ import annotations

import builtins
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bozzetto
from bozzetto.bench.datasets import read_arrays
from bozzetto.errors import InputError, MissingExtraError
from bozzetto.segment.alpha import AlphaSegmenter, meaningful
from bozzetto.segment.categories import CATEGORIES, Category, find_category
from bozzetto.segment.constant import ConstantSegmenter
from bozzetto.segment.file import FileSegmenter, read_mask
from bozzetto.segment.registry import MAKERS, NAMES, make_segmenter, mask_photo
from bozzetto.segment.segmenter import Segmenter
from bozzetto.segment.selfie import SelfieSegmenter, selfie_available

ASSETS = Path(bozzetto.__file__).parent / "assets"
needs_selfie = pytest.mark.skipif(not selfie_available(), reason="needs the extra 'segment'")


def disc_mask(size: int, width: int | None = None) -> np.ndarray:
    """uint8 [size,width]: a white disc in the middle."""
    width = width or size
    y, x = np.mgrid[:size, :width]
    return (np.hypot(x - (width - 1) / 2, y - (size - 1) / 2) < size / 4).astype(np.uint8) * 255


def plain_photo(size: int = 48) -> torch.Tensor:
    """[3,S,S]: a striped disc before a grey gradient."""
    inside = torch.from_numpy(disc_mask(size) > 0)
    ramp = torch.linspace(0.2, 0.5, size).expand(3, size, size)
    stripes = (torch.arange(size) % 4 < 2).float() * 0.5 + 0.4
    return torch.where(inside, stripes * torch.tensor([1.0, 0.6, 0.2]).view(3, 1, 1), ramp)


def clutter(size: int = 48) -> torch.Tensor:
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(0))


def test_every_category_names_segmenters_that_exist() -> None:
    for row in CATEGORIES.values():
        assert set(row.segmenters) <= set(MAKERS)
        assert 0 < row.near < row.far < 1
        assert row.radius >= row.far - row.near
    assert find_category("cat") is CATEGORIES["cat"]
    row = Category("my own")
    assert find_category(row) is row


def test_unknown_segmenters_are_refused_with_the_list() -> None:
    with pytest.raises(InputError, match="auto, alpha, file, selfie"):
        make_segmenter("magic")
    with pytest.raises(InputError, match="no segmenter"):
        mask_photo(clutter(), "cat", segmenter="magic")
    assert len(set(NAMES)) == len(NAMES)


def test_the_face_parser_asks_for_its_file() -> None:
    with pytest.raises(InputError, match=r"79999_iter\.pth"):
        make_segmenter("face-parser")


def test_constant() -> None:
    segmenter = ConstantSegmenter()
    assert isinstance(segmenter, Segmenter)
    found = segmenter(torch.rand(2, 3, 8, 8), "cat")
    assert torch.equal(found.mask, torch.ones(2, 1, 8, 8))
    masked = mask_photo(clutter(), "cat", segmenter="none")
    assert masked.note is None
    assert masked.segmenter == "none"


def test_alpha_passes_through() -> None:
    alpha = torch.rand(2, 1, 8, 8)
    assert torch.equal(AlphaSegmenter(alpha)(torch.rand(2, 3, 8, 8), "cat").mask, alpha)
    with pytest.raises(InputError, match="one alpha channel"):
        AlphaSegmenter(alpha)(torch.rand(1, 3, 8, 8), "cat")
    assert not meaningful(None)
    assert not meaningful(torch.ones(1, 8, 8))
    assert meaningful(torch.eye(8)[None])


def test_auto_takes_a_meaningful_alpha_first() -> None:
    alpha = torch.from_numpy(disc_mask(48) / 255)[None].float()
    masked = mask_photo(plain_photo(), "object", alpha=alpha)
    assert masked.segmenter == "alpha"
    assert torch.equal(masked.mask[0], alpha)
    assert mask_photo(plain_photo(), "object", alpha=torch.ones(1, 48, 48)).segmenter == "border"


def test_alpha_asked_for_but_absent() -> None:
    with pytest.raises(InputError, match="no transparent part"):
        mask_photo(clutter(), "cat", segmenter="alpha")


def test_auto_uses_the_border_on_plain_backgrounds() -> None:
    masked = mask_photo(plain_photo(), "object")
    assert masked.segmenter == "border"
    assert masked.note is None
    truth = torch.from_numpy(disc_mask(48) > 0)[None, None]
    assert ((masked.mask >= 0.7) == truth).float().mean() > 0.99


def test_auto_falls_back_to_the_whole_photo_with_a_note() -> None:
    masked = mask_photo(clutter(), "object")
    assert masked.segmenter == "none"
    assert torch.equal(masked.mask, torch.ones(1, 1, 48, 48))
    assert "mask file" in str(masked.note)
    assert "border" in str(masked.note)


def test_auto_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOZZETTO_CACHE", str(tmp_path / "cache"))
    masked = mask_photo(clutter(), "horse")
    assert "object-parser" in str(masked.note)
    assert not (tmp_path / "cache").exists()


def test_a_named_segmenter_is_kept_with_a_note() -> None:
    masked = mask_photo(clutter(), "object", segmenter="border")
    assert masked.segmenter == "border"
    assert "everything" in str(masked.note)


@pytest.mark.parametrize("kind", ["L", "1", "P", "RGB", "I;16", "RGBA", "jpeg"])
def test_mask_files_of_any_kind(kind: str, tmp_path: Path) -> None:
    mask = Image.fromarray(disc_mask(64))
    path = tmp_path / ("mask.jpg" if kind == "jpeg" else "mask.png")
    if kind == "I;16":
        Image.fromarray(disc_mask(64).astype(np.uint16) * 257).save(path)
    elif kind == "RGBA":  # a cut-out: what is opaque is the object, whatever its colour
        cut_out = Image.new("RGB", (64, 64), "black")
        cut_out.putalpha(mask)
        cut_out.save(path)
    else:
        (mask if kind == "jpeg" else mask.convert(kind)).save(path)
    read = read_mask(path, 64)
    assert read.shape == (1, 64, 64)
    assert torch.equal(read >= 0.5, torch.from_numpy(disc_mask(64) > 0)[None])
    assert read_mask(path, 16).shape == (1, 16, 16)


def test_mask_files_are_cropped_like_their_photo(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(disc_mask(64, 96)).save(path)
    assert torch.equal(read_mask(path, 64, (192, 128)) >= 0.5, torch.from_numpy(disc_mask(64) > 0)[None])
    with pytest.raises(InputError, match="from the photo itself"):
        read_mask(path, 64, (128, 192))
    Image.fromarray(disc_mask(64)).save(path)
    assert read_mask(path, 32, (128, 192)).shape == (1, 32, 32)  # a square mask is taken as cropped already


def test_masks_of_no_use_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", (32, 32), 0).save(path)
    with pytest.raises(InputError, match="all but empty"):
        read_mask(path, 32)
    Image.new("L", (32, 32), 255).save(path)
    with pytest.raises(InputError, match="covers everything"):
        read_mask(path, 32)
    with pytest.raises(InputError, match="no image file"):
        read_mask(tmp_path / "none.png", 32)


def test_a_mask_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(disc_mask(48)).save(path)
    masked = mask_photo(clutter(), "object", alpha=torch.eye(48)[None], mask_file=path, original_size=(48, 48))
    assert masked.segmenter == "file"
    assert torch.equal(masked.mask[0] >= 0.7, torch.from_numpy(disc_mask(48) > 0)[None])
    with pytest.raises(InputError, match="needs a mask file"):
        mask_photo(clutter(), "object", segmenter="file")
    with pytest.raises(InputError, match="1 mask files for 2 photos"):
        FileSegmenter(path)(torch.rand(2, 3, 48, 48), "cat")


def test_selfie_without_its_packages_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not selfie_available()
    with pytest.raises(MissingExtraError, match=r"pip install 'bozzetto\[segment\]'"):
        SelfieSegmenter()
    masked = mask_photo(plain_photo(), "heads")  # the next segmenter takes over
    assert masked.segmenter == "border"


@needs_selfie
def test_selfie_without_its_runner_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("ai_edge_litert"):
            raise ImportError(name)
        return import_module(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'bozzetto\[segment\]'"):
        SelfieSegmenter()


@needs_selfie
@pytest.mark.skipif(not (ASSETS / "heads_test_64.npz").is_file(), reason="the test heads are not in this tree")
def test_selfie_finds_rendered_heads() -> None:
    arrays = read_arrays(ASSETS / "heads_test_64.npz")
    images = torch.from_numpy(arrays["image"][:6]).permute(0, 3, 1, 2).float() / 255
    truth = torch.from_numpy(arrays["depth"][:6].astype(np.int64) < 65535)[:, None]
    segmenter = SelfieSegmenter()
    found = segmenter(images, "heads")
    inside = found.mask >= 0.7
    overlap = (inside & truth).sum(dim=(1, 2, 3)) / (inside | truth).sum(dim=(1, 2, 3))
    assert float(overlap.median()) > 0.95
    assert "mediapipe" not in sys.modules
    alone = segmenter(images[2:3], "heads")
    assert torch.equal(alone.mask[0], found.mask[2])
    mirrored = segmenter(images[:1].flip(3), "heads")
    torch.testing.assert_close(mirrored.score.flip(3), found.score[:1], rtol=0, atol=1e-3)
    corrected = make_segmenter("selfie+border")(images, "heads").mask >= 0.7
    overlap = (corrected & truth).sum(dim=(1, 2, 3)) / (corrected | truth).sum(dim=(1, 2, 3))
    assert float(overlap.min()) > 0.95


@needs_selfie
def test_selfie_finds_nothing_in_an_empty_picture() -> None:
    found = SelfieSegmenter()(torch.full((1, 3, 64, 64), 0.5), "face")
    assert float(found.score.mean()) < 0.5
    assert math.isclose(float(found.score.max()), float(found.score.clamp(0, 1).max()))
