from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.bench.datasets import (
    HeadTruth,
    average_depth,
    canonical_light_direction,
    decode_depth,
    decode_normal,
    encode_depth,
    encode_normal,
    load_head,
    load_packed_heads,
    packed_average_depth,
    read_arrays,
)
from bozzetto.bench.heads import HeadsConfig
from bozzetto.bench.make_set import make_set
from bozzetto.bench.npz import write_npz
from bozzetto.errors import InputError, OutputError
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.geometry.render import look
from bozzetto.metrics import erode, mean_angle_deviation_deg
from bozzetto.types import Camera

ASSETS = Path(str(files("bozzetto") / "assets"))
PACKED = [("heads_test_64.npz", 64), ("heads_test_128.npz", 128)]


@cache
def shipped(name: str) -> HeadTruth:
    """Read once; the tests only look."""
    return load_packed_heads(ASSETS / name, novel=False)


def test_depth_survives_within_half_a_step_and_nan_stays_nan() -> None:
    depth = np.random.default_rng(0).uniform(0.9, 1.1, (8, 8))
    depth[2, 3] = np.nan
    back = decode_depth(encode_depth(depth))
    assert np.isnan(back).sum() == 1
    assert np.nanmax(np.abs(back - depth)) < 1.7e-6


def test_normals_survive_within_a_hundredth_of_a_degree() -> None:
    n = np.random.default_rng(0).standard_normal((500, 3))
    n[:, 2] = -np.abs(n[:, 2])
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    chord = np.linalg.norm(decode_normal(encode_normal(n)) - n, axis=1)
    assert np.degrees(2 * np.arcsin(chord.max() / 2)) < 0.01


@pytest.mark.parametrize(("name", "size"), PACKED)
def test_the_shipped_heads_are_what_they_say(name: str, size: int) -> None:
    heads = shipped(name)
    assert heads.image.shape[1:] == (3, size, size)
    assert len(heads) >= 12
    depth = heads.depth[heads.mask]
    assert depth.min() > 0.9
    assert depth.max() <= 1.1
    assert (heads.mask.flatten(1).float().mean(1) > 0.3).all()
    length = torch.linalg.vector_norm(heads.normal, dim=1, keepdim=True)[heads.mask]
    assert (length - 1).abs().max() < 1e-5
    again = (heads.albedo * heads.shading).clamp(0, 1) ** (1 / 1.6)
    difference = (again - heads.image).abs().amax(1, keepdim=True)
    assert difference[erode(heads.mask.float()) > 0].median() < 0.01


@pytest.mark.parametrize(("name", "size"), PACKED)
def test_the_shipped_normals_are_those_of_the_shipped_depth(name: str, size: int) -> None:
    heads = shipped(name)
    depth = torch.where(heads.mask, heads.depth, torch.tensor(1.1))
    inside = erode(heads.mask.float(), size // 16)
    mad = mean_angle_deviation_deg(normals(depth, Camera(size)), heads.normal, inside)
    assert mad.max() < 12  # one pixel's slope against a smooth mesh: eyes, lips and nostrils differ
    assert mad.mean() < 8


def test_the_canonical_light_shades_turned_normals_as_the_photo_shows() -> None:
    """n . l does not change when both are carried back to the canonical frame."""
    heads = shipped("heads_test_64.npz")
    back = torch.einsum("bji,bjhw->bihw", rotation_matrix(heads.view[:, :3]), heads.normal)
    lambert = (back * canonical_light_direction(heads)[:, :, None, None]).sum(1, keepdim=True).clamp_min(0)
    again = heads.light[:, 0, None, None, None] + heads.light[:, 1, None, None, None] * lambert
    torch.testing.assert_close(again * heads.mask, heads.shading)


def test_the_canonical_depth_under_the_view_is_the_photo_depth() -> None:
    """Two renderers, two meshes, one geometry: what both sides see agrees to a fraction of the depth range."""
    heads = shipped("heads_test_64.npz").take(slice(0, 8))
    seen = look(torch.nan_to_num(heads.canonical_depth, nan=1.1), heads.view, Camera(64))
    common = heads.mask & (seen.mask > 0) & (seen.depth < 1.09)
    for i in range(len(heads)):
        assert (seen.depth - heads.depth)[i][common[i]].abs().median() < 2e-4


def test_the_demo_head_is_a_photo_with_its_truth() -> None:
    truth = load_packed_heads(ASSETS / "demo_head_64.npz")
    photo = np.asarray(Image.open(ASSETS / "demo_head_64.png"))
    np.testing.assert_array_equal(photo, (truth.image[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8))
    assert Image.open(ASSETS / "demo_head.png").size == (256, 256)
    assert 10 < abs(np.degrees(truth.view[0, 1].item())) < 20


def test_the_packed_average_covers_the_face_and_lies_in_range() -> None:
    average = packed_average_depth(ASSETS / "heads_test_64.npz")
    assert average.shape == (1, 1, 64, 64)
    assert average.min() > 0.9
    assert average.max() <= 1.1
    assert average[0, 0, 32, 32] < average[0, 0, 32, 2]


def test_average_depth_is_the_mean_of_the_known_depths(toy_model: Path, tmp_path: Path) -> None:
    make_set(HeadsConfig(tmp_path, model=toy_model, size=16, train=3, test=0))
    depths = torch.cat([load_head(tmp_path / "train", i).depth for i in range(3)])
    expected = torch.nan_to_num(depths.nanmean(0, keepdim=True), nan=1.1)
    torch.testing.assert_close(average_depth(tmp_path / "train"), expected)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_a_broken_head_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "000000.npz").write_bytes(content)
    with pytest.raises(InputError, match="make it again"):
        load_head(tmp_path, 0)


def test_another_npz_is_refused_and_an_empty_folder_too(tmp_path: Path) -> None:
    write_npz(tmp_path / "x.npz", {"image": np.zeros(3)})
    with pytest.raises(InputError, match="not a head file"):
        read_arrays(tmp_path / "x.npz")
    with pytest.raises(InputError, match="holds no heads"):
        average_depth(tmp_path / "nothing")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_npz(tmp_path / "missing" / "x.npz", {"a": np.zeros(3)})
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(OutputError):
        write_npz(tmp_path / "x.npz", {"a": np.zeros(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]
