"""Latents: whatever a file holds, a latent of the generator's shape comes out, or one sentence."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from anything import damaged, examples, value_or_sentence
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bozzetto.gan import GanInfo
from bozzetto.gan.latent import read_latent, save_latent

L, D = 6, 8
INFO = GanInfo("tiny", "stylegan2", 16, 6, D, L, 3, "MIT", "ab", "noise")
SUFFIXES = (".pt", ".npy", ".npz", ".safetensors")
SHAPES = ((D,), (1, D), (L, D), (1, L, D))


def written(values: np.ndarray, suffix: str) -> bytes:
    stream = io.BytesIO()
    if suffix == ".npy":
        np.save(stream, values)
    elif suffix == ".npz":
        np.savez(stream, latent=values)
    elif suffix == ".pt":
        torch.save({"latent": torch.from_numpy(values)}, stream)
    else:
        return safetensors.torch.save({"latent": torch.from_numpy(values).contiguous()})
    return stream.getvalue()


def projected() -> bytes:
    """A projector's file: picture name -> latent, noise maps."""
    stream = io.BytesIO()
    entry = {"latent": torch.zeros(D), "noise": [torch.zeros(1, 1, 4, 4)], "img": torch.zeros(3, 4, 4)}
    torch.save({"photo.png": entry}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


WHOLE = {suffix: written(np.zeros((L, D), np.float32), suffix) for suffix in SUFFIXES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("latents")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_bytes_are_a_latent_or_refused(suffix: str, folder: Path) -> None:
    path = folder / f"latent{suffix}"
    whole = (WHOLE[suffix], projected()) if suffix == ".pt" else (WHOLE[suffix],)

    @examples(60)
    @given(damaged(*whole))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        w = value_or_sentence(lambda: read_latent(path, INFO), folder)
        assert w is None or (w.shape == (L, D) and w.dtype == torch.float32 and bool(w.isfinite().all()))

    check()


@pytest.mark.parametrize("suffix", SUFFIXES)
@examples(40)
@given(
    st.sampled_from(SHAPES).flatmap(
        lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(-(2.0**100), 2.0**100, width=32))
    )
)
def test_a_latent_comes_back_with_a_row_for_every_layer(suffix: str, folder: Path, values: np.ndarray) -> None:
    path = folder / f"whole{suffix}"
    path.write_bytes(written(values, suffix))
    rows = torch.from_numpy(values).reshape(-1, D).expand(L, D)
    assert torch.equal(read_latent(path, INFO), rows)


@examples(40)
@given(arrays.arrays(np.float32, (L, D), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_what_is_saved_is_read_bit_for_bit(folder: Path, values: np.ndarray) -> None:
    path = folder / "saved.safetensors"
    save_latent(path, torch.from_numpy(values), INFO, [torch.zeros(1, 1, 4, 4)])
    assert read_latent(path, INFO).numpy().tobytes() == values.tobytes()
