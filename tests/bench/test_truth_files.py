from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.bench.truth import is_head_file
from bozzetto.bench.truth_files import DepthFile, depth_channel, find_truth, read_depth_file, truth_from
from bozzetto.errors import InputError, MissingExtraError
from bozzetto.export.depth16 import Depth16Scale, write_depth16
from tiny_heads import write_heads

needs_exr = pytest.mark.skipif(importlib.util.find_spec("OpenEXR") is None, reason="OpenEXR is not installed")


def depth(height: int = 8, width: int = 8) -> np.ndarray:
    values = 0.9 + 0.2 * np.random.default_rng(0).random((height, width))
    values[0, :3] = np.nan
    return values


def test_numpy_files_give_what_they_hold_and_a_mask_takes_away(tmp_path: Path) -> None:
    mask = np.ones((8, 8), bool)
    mask[4:] = False
    normal = np.zeros((8, 8, 3))
    normal[..., 2] = -1
    np.savez(tmp_path / "a.npz", depth=depth(), mask=mask, normal=normal)
    np.save(tmp_path / "a.npy", depth()[None].astype(np.float32))
    found = read_depth_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.depth, np.where(mask, depth(), np.nan))
    assert found.normal is not None
    np.testing.assert_array_equal(found.normal, normal)
    np.testing.assert_allclose(read_depth_file(tmp_path / "a.npy").depth, depth(), rtol=1e-6)


def test_our_own_depth_pictures_are_read_with_their_scale(tmp_path: Path) -> None:
    values = torch.from_numpy(depth())[None]
    write_depth16(values, tmp_path / "depth16.png", Depth16Scale(0.9, 1.1))
    np.testing.assert_allclose(read_depth_file(tmp_path / "depth16.png").depth, depth(), atol=2e-6)


def test_other_16_bit_pictures_are_multiples_of_their_code_and_0_is_not_known(tmp_path: Path) -> None:
    code = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(code).save(tmp_path / "d.png")
    found = read_depth_file(tmp_path / "d.png").depth
    assert np.isnan(found[0, 0])
    np.testing.assert_array_equal(found.ravel()[1:], code.ravel()[1:])


def test_what_is_no_number_and_what_is_endlessly_far_is_not_known(tmp_path: Path) -> None:
    values = np.array([[1.0, np.inf, -1.0, 0.0], [np.nan, 1e10, 2.0, 3.0]])
    np.save(tmp_path / "d.npy", values)
    np.testing.assert_array_equal(
        np.isnan(read_depth_file(tmp_path / "d.npy").depth), ~np.isin(values, [1.0, 2.0, 3.0])
    )


@needs_exr
@pytest.mark.parametrize("channel", ["Z", "View Layer.Depth.Z", "Y"])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_exr_files_are_read(tmp_path: Path, channel: str, kind: type) -> None:
    import OpenEXR

    values = np.nan_to_num(depth(6, 9), nan=1e10 if kind is np.float32 else np.inf).astype(kind)
    noise = np.zeros((6, 9), np.float16)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {channel: values, "A": noise}) as file:
        file.write(str(tmp_path / "d.exr"))
    np.testing.assert_allclose(read_depth_file(tmp_path / "d.exr").depth, depth(6, 9), rtol=1e-3)


def test_the_depth_channel_is_chosen_by_name() -> None:
    assert depth_channel(["A", "R", "G", "B", "Z"]) == "Z"
    assert depth_channel(["Layer.Depth.Z", "Layer.Combined.R"]) == "Layer.Depth.Z"
    assert depth_channel(["A.Z", "Z"]) == "Z"
    assert depth_channel(["A", "G"]) is None


def test_without_the_library_exr_files_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "OpenEXR", None)
    (tmp_path / "d.exr").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"bozzetto\[exr\]"):
        read_depth_file(tmp_path / "d.exr")


def test_files_that_are_no_depth_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    Image.new("L", (4, 4)).save(tmp_path / "grey.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.npy").write_text("no numbers")
    (tmp_path / "text.npz").write_text("no numbers")
    np.savez(tmp_path / "other.npz", z=np.ones((4, 4)))
    np.savez(tmp_path / "mask.npz", depth=np.ones((4, 4)), mask=np.ones((5, 5)))
    np.savez(tmp_path / "normal.npz", depth=np.ones((4, 4)), normal=np.ones((3, 4, 4)))
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    np.save(tmp_path / "flat.npy", np.ones(4))
    np.save(tmp_path / "empty.npy", np.zeros((4, 4)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "depth.tiff").write_bytes(b"")
    if importlib.util.find_spec("OpenEXR"):
        (tmp_path / "text.exr").write_text("no picture")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError, match=path.name):
            read_depth_file(path)


def test_the_truth_is_found_by_the_photos_name(tmp_path: Path) -> None:
    for name in ("depth.npz", "cat_depth.png", "dog.exr", "dog_depth.png"):
        (tmp_path / name).touch()
    assert find_truth(tmp_path, "cat.jpg").name == "cat_depth.png"
    assert find_truth(tmp_path, "dog.jpg").name == "dog.exr"
    assert find_truth(tmp_path, "cow.jpg").name == "depth.npz"
    assert find_truth(tmp_path / "dog.exr", "cat.jpg").name == "dog.exr"
    (tmp_path / "depth.npz").unlink()
    with pytest.raises(InputError, match=r"no truth for the photo 'cow.jpg'"):
        find_truth(tmp_path, "cow.jpg")
    with pytest.raises(InputError, match="no file or folder"):
        find_truth(tmp_path / "nowhere", "cow.jpg")


def test_a_truth_of_the_same_size_stays_as_it_is() -> None:
    truth = truth_from(DepthFile(depth()), 8)
    np.testing.assert_allclose(truth.depth[0].numpy(), depth(), rtol=1e-6)
    assert truth.normal is None


@pytest.mark.parametrize("factor", [2, 3])
def test_a_larger_one_is_the_mean_of_what_a_pixel_covers(factor: int) -> None:
    small = depth()
    large = np.kron(small, np.ones((factor, factor)))
    np.testing.assert_allclose(truth_from(DepthFile(large), 8).depth[0].numpy(), small, rtol=1e-6)


def test_sizes_that_do_not_divide_keep_a_ramp_a_ramp_edge_to_edge() -> None:
    """Pixel centres at (u + 1/2) / S of the picture: a linear ramp is read there exactly."""
    ramp = 1 + np.broadcast_to((np.arange(30) + 0.5) / 30, (30, 30))
    found = truth_from(DepthFile(ramp), 8).depth[0].numpy()
    np.testing.assert_allclose(found[3], 1 + (np.arange(8) + 0.5) / 8, atol=2e-3)
    np.testing.assert_allclose(found.mean(), ramp.mean(), rtol=1e-6)


def test_the_middle_square_is_taken() -> None:
    wide = np.full((8, 20), np.nan)
    wide[:, 6:14] = depth()
    np.testing.assert_allclose(truth_from(DepthFile(wide), 8).depth[0].numpy(), depth(), rtol=1e-6)
    with pytest.raises(InputError, match="20 x 8 px"):
        truth_from(DepthFile(wide), 16)


def test_a_pixel_is_known_where_more_than_half_of_it_is_and_normals_stay_unit() -> None:
    large = np.ones((8, 8))
    large[:4, 0], large[4:, :2] = np.nan, np.nan
    large[4, 0] = 1
    normal = np.zeros((8, 8, 3))
    normal[:, ::2, 0], normal[:, 1::2, 2] = 1, -1
    truth = truth_from(DepthFile(large, normal), 4)
    known = ~truth.depth[0].isnan()
    assert known[:, 1:].all()
    assert known[:, 0].tolist() == [False] * 4  # exactly half is not more than half
    assert truth.normal is not None
    torch.testing.assert_close(torch.linalg.vector_norm(truth.normal[:, known], dim=0), torch.ones(int(known.sum())))
    torch.testing.assert_close(truth.normal[:, 0, 2], torch.tensor([0.5**0.5, 0.0, -(0.5**0.5)]))


def test_head_files_are_told_from_others(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", depth=depth())
    assert is_head_file(write_heads(tmp_path / "heads.npz", 1))
    assert not is_head_file(tmp_path / "a.npz")
    assert not is_head_file(tmp_path / "a.png")
