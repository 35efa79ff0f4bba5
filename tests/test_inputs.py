"""Photos, masks, latents and scenes in all their forms."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "gan"))

from tiny_gan import tiny_gan

from bozzetto.autocrop import Choice
from bozzetto.crop import Square
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.inputs import (
    Picture,
    category_of,
    check_fit,
    digest,
    find_latent,
    find_mask,
    mask_identity,
    read_picture,
    read_scenes,
)
from bozzetto.method.sampling import DISTRIBUTIONS
from bozzetto.presets import find_preset
from bozzetto.results.provenance import plain


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def test_an_oblong_photo_is_the_same_from_file_image_array_and_tensor(tmp_path: Path) -> None:
    rows = noise(30, 44, 3)
    Image.fromarray(rows).save(tmp_path / "a.png")
    forms: list[Any] = [
        tmp_path / "a.png",
        Image.fromarray(rows),
        rows,
        rows.transpose(2, 0, 1),
        torch.from_numpy(rows),
    ]
    found = [read_picture(form, 16) for form in forms]
    assert all(torch.equal(one.image, found[0].image) for one in found)
    assert all(one.original_size == (44, 30) for one in found)
    assert [one.name for one in found] == ["a.png", *["image"] * 4]
    assert len({one.sha256 for one in found[1:]}) == 1
    floats = read_picture(rows / np.float32(255), 16)
    assert torch.allclose(floats.image, found[0].image, atol=3 / 255)  # resized without rounding to bytes


def test_a_photo_that_lies_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(noise(16, 16, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    from_file = read_picture(tmp_path / "a.png", 16)
    with Image.open(tmp_path / "a.png") as opened:
        assert torch.equal(read_picture(opened, 16).image, from_file.image)
    assert torch.equal(from_file.image, read_picture(np.rot90(noise(16, 16, 3), -1).copy(), 16).image)


def test_alpha_comes_along() -> None:
    rows = noise(16, 16, 4)
    found = read_picture(Image.fromarray(rows), 16)
    assert found.alpha is not None
    assert torch.equal(found.alpha[0] * 255, torch.from_numpy(rows[..., 3]).float())
    assert found.sha256 != read_picture(Image.fromarray(rows[..., :3]), 16).sha256


@pytest.mark.parametrize(("asked", "side"), [(0, None), (16, None), (24, 24), (64, 30)])
def test_the_same_square_comes_larger_where_the_photo_has_it(asked: int, side: int | None) -> None:
    """The photo's own pixels at most, and none beside a picture that has them already."""
    rows = noise(30, 44, 3)
    found = read_picture(rows, 16, fine_px=asked)
    assert torch.equal(found.image, read_picture(rows, 16).image)
    if side is None:
        assert found.fine is None
        return
    assert found.fine is not None
    assert torch.equal(found.fine / 255, read_picture(rows, side).image)
    if asked > 30:
        assert (found.fine.permute(1, 2, 0).numpy() == rows[:, 7:37]).all()


def test_a_larger_square_is_padded_and_upright_as_the_small_one_is(tmp_path: Path) -> None:
    Image.fromarray(noise(40, 30, 4)).save(tmp_path / "a.png", exif=_on_its_side())
    square = Square(20, -8, 36)  # upright it is 40 wide and 30 high
    found = read_picture(tmp_path / "a.png", 16, lambda photo: Choice(square, "given"), fine_px=512)
    assert found.original_size == (40, 30)
    assert found.fine is not None
    with Image.open(tmp_path / "a.png") as opened:
        laid = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened).convert("RGB")
    upright = np.rot90(np.asarray(laid), -1)
    wanted = np.pad(upright[:28, 20:], ((8, 0), (0, 16), (0, 0)), mode="edge")
    assert np.abs(found.fine.permute(1, 2, 0).numpy().astype(int) - wanted).max() <= 1


def _on_its_side() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_digests_tell_shapes_types_and_values_apart() -> None:
    values = [torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(6), torch.zeros(2, 3).double(), torch.ones(2, 3)]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(torch.zeros(2, 3)) == digest(torch.zeros(3, 2).T.contiguous()) == digest(torch.zeros(3, 2).T)


def picture() -> Picture:
    return read_picture(noise(16, 16, 3), 16)


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (1, 1, 16, 16)])
def test_a_mask_may_be_a_tensor(shape: tuple[int, ...]) -> None:
    mask = torch.zeros(shape)
    mask[..., 4:12, 4:12] = 1
    found = find_mask(mask, picture(), "object")
    assert (found.segmenter, found.note) == ("given", None)
    assert torch.equal(found.mask, mask.reshape(1, 1, 16, 16))


@pytest.mark.parametrize("mask", [torch.zeros(8, 8), torch.full((16, 16), 2.0), torch.full((16, 16), torch.nan)])
def test_other_masks_are_refused(mask: torch.Tensor) -> None:
    with pytest.raises(InputError, match="mask"):
        find_mask(mask, picture(), "object")


def test_an_empty_mask_is_used_with_a_note() -> None:
    assert "all but empty" in str(find_mask(torch.zeros(16, 16), picture(), "object").note)


def test_a_mask_file_is_known_by_its_content(tmp_path: Path) -> None:
    mask = Image.fromarray((np.arange(256).reshape(16, 16) > 100).astype(np.uint8) * 255)
    for name in ("a.png", "b.png"):
        mask.save(tmp_path / name)
    assert mask_identity(tmp_path / "a.png") == mask_identity(str(tmp_path / "b.png")) != mask_identity("auto")
    found = find_mask(tmp_path / "a.png", picture(), "object")
    assert found.segmenter == "file"
    assert float(found.mask.sum()) == 155


@pytest.mark.parametrize("shape", [(8,), (1, 8), (6, 8), (1, 6, 8)])
def test_a_latent_serves_every_layer(shape: tuple[int, ...]) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = find_latent(given, tiny_gan().info)
    assert found.shape == (1, 6, 8)
    assert torch.equal(found, given.reshape(-1, 8).expand(6, 8)[None])


@pytest.mark.parametrize("latent", [torch.zeros(7), torch.zeros(5, 8), torch.zeros(()), torch.full((8,), torch.inf)])
def test_other_latents_are_refused(latent: torch.Tensor) -> None:
    with pytest.raises(InputError, match="latent"):
        find_latent(latent, tiny_gan().info)


def test_a_generator_s_unknown_category_is_any_object_but_a_user_s_is_refused() -> None:
    info = tiny_gan().info
    assert category_of(None, info) == "object"
    assert category_of("cat", info) == "cat"
    with pytest.raises(InputError, match="no category 'noise'"):
        category_of("noise", info)


def test_devices_are_found_by_name() -> None:
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="no device 'toaster'"):
        find_device("toaster")
    with pytest.raises(InputError, match="not supported"):
        find_device("meta")


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("optim", "project_lr", -1.0),
        ("optim", "beta2", 1.0),
        ("loss", "perceptual_weight", float("nan")),
        ("nets", "width", 0.0),
        ("turn", "steps", 0),
        ("turn", "share", 1.5),
        ("view", "rotation_deg", float("inf")),
    ],
)
def test_settings_that_cannot_be_worked_with_are_refused(group: str, name: str, value: float) -> None:
    info, config = tiny_gan().info, find_preset("quick")
    check_fit(replace(config, project=replace(config.project, tail_layers=1)), replace(info, resolution=16))
    with pytest.raises(InputError, match=name.split("_")[0]):
        check_fit(replace(config, **{group: replace(getattr(config, group), **{name: value})}), info)


@pytest.mark.parametrize("side", [-1, 4097])
def test_a_texture_that_could_not_be_kept_is_refused(side: int) -> None:
    config, info = find_preset("quick"), tiny_gan().info
    config = replace(config, project=replace(config.project, tail_layers=1))
    check_fit(replace(config, texture_px=4096), replace(info, resolution=16))
    with pytest.raises(InputError, match="texture_px"):
        check_fit(replace(config, texture_px=side), replace(info, resolution=16))


def test_generators_too_small_for_the_networks_are_refused() -> None:
    with pytest.raises(InputError, match="8 px"):
        check_fit(find_preset("quick"), replace(tiny_gan().info, resolution=8))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_scenes_survive_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "scenes.json"
    path.write_text(json.dumps(plain(DISTRIBUTIONS[name])))
    assert read_scenes(path) == DISTRIBUTIONS[name]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"views": {}}',
        '{"views": {"sd": [1, 2]}, "lights": {}}',
        '{"views": {"colour": 1}, "lights": {}}',
        '{"views": {}, "lights": {"dx": []}}',
        f'{{"views": {{"mean": [1{400 * "0"}, 0, 0, 0, 0, 0]}}, "lights": {{}}}}',
        "[" * 100_000,
    ],
)
def test_other_files_hold_no_scenes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scenes.json"
    path.write_text(text)
    with pytest.raises(InputError, match="estimate-views"):
        read_scenes(path)
