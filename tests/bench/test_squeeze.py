from __future__ import annotations

import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from bozzetto.bench.datasets import decode_depth, decode_normal, load_packed_heads, pack_heads, read_arrays
from bozzetto.bench.heads import HeadsConfig
from bozzetto.bench.make_set import make_set
from bozzetto.bench.squeeze import OFF, Squeeze, expand, squeeze

ASSETS = Path(str(files("bozzetto") / "assets"))


@pytest.fixture(scope="module")
def arrays(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("heads")
    make_set(HeadsConfig(folder, model=toy_model, size=24, test=2, turned_yaws_deg=(-20.0, 0.0, 20.0), relit=1))
    pack_heads(folder / "test", folder / "packed.npz")
    return read_arrays(folder / "packed.npz")


def test_sixteen_bits_and_lossless_pictures_keep_everything(arrays: dict[str, np.ndarray]) -> None:
    lossless = Squeeze(16, 16, image=101, albedo=101, novel=101)
    again = expand(squeeze(arrays, lossless))
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype, name
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_any_sixteen_bit_numbers_survive_the_differences() -> None:
    wild = np.random.default_rng(0).integers(0, 65536, (2, 9, 7)).astype(np.uint16)
    np.testing.assert_array_equal(expand(squeeze({"depth": wild}, Squeeze()))["depth"], wild)


@pytest.mark.parametrize("bits", [15, 14, 12])
def test_depth_is_rounded_by_half_a_step_and_the_mask_stays(bits: int) -> None:
    code = np.random.default_rng(0).integers(0, 65535, (1, 40, 40)).astype(np.uint16)
    code[0, :4, :4] = 65534 - np.arange(16).reshape(4, 4)  # the far end must not turn into the background
    code[0, 10:20] = OFF
    again = expand(squeeze({"depth": code}, Squeeze(depth_bits=bits)))["depth"]
    np.testing.assert_array_equal(again == OFF, code == OFF)
    error = np.abs(decode_depth(again) - decode_depth(code))
    assert np.nanmax(error[:, 4:]) < 0.1 / 2**bits + 1e-6
    assert np.nanmax(error) < 0.3 / 2**bits + 1e-6


@pytest.mark.parametrize(("bits", "limit_deg"), [(10, 0.2), (9, 0.4)])
def test_normals_are_rounded_as_stated(bits: int, limit_deg: float, arrays: dict[str, np.ndarray]) -> None:
    again = expand(squeeze(arrays, Squeeze(normal_bits=bits)))["normal"]
    chord = np.linalg.norm(decode_normal(again) - decode_normal(arrays["normal"]), axis=-1)
    assert np.degrees(2 * np.arcsin(chord / 2)).max() < limit_deg


def test_pictures_of_quality_90_look_alike(arrays: dict[str, np.ndarray]) -> None:
    again = expand(squeeze(arrays, Squeeze(novel=90)))
    np.testing.assert_array_equal(again["image"], arrays["image"])
    assert again["turned_image"].shape == arrays["turned_image"].shape
    error = again["turned_image"].astype(float) - arrays["turned_image"]
    assert 10 * np.log10(255**2 / (error**2).mean()) > 30


def test_the_shipped_heads_take_little_space_and_are_the_same_people() -> None:
    paths = [ASSETS / f"heads_test_{size}.npz" for size in (64, 128)]
    assert sum(p.stat().st_size for p in paths) < 8e6
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    small, large = (load_packed_heads(p, novel=False) for p in paths)
    assert len(small) == len(large) == 100
    assert small.turned_image.shape[1] == small.relit_image.shape[1] == 0
    np.testing.assert_array_equal(small.view, large.view)
    np.testing.assert_array_equal(small.light, large.light)


def test_the_shipped_heads_come_from_other_sides_and_under_other_lights() -> None:
    heads = load_packed_heads(ASSETS / "heads_test_64.npz")
    assert heads.turned_yaw_deg.tolist() == [[-30, -15, 0, 15, 30]] * 100
    assert heads.relit_image.shape == (100, 5, 3, 64, 64)
    assert heads.relit_light.shape == (100, 5, 4)
