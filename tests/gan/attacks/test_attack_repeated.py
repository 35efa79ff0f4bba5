"""Files that name the same few numbers or texts again and again: small until they are copied or written out."""

from __future__ import annotations

import io
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import nvlabs_files
import pytest
import torch
from rosinality_files import states, written
from tiny_gan import tiny_networks, tiny_spec
from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan import load_gan
from bozzetto.gan.names import all_finite, refuse_repeated
from bozzetto.gan.pickle_records import one_line

W = 256  # numbers of a latent; a layer of the mapping is W x W


def refused(path: Path, match: str, below_mb: int = 24) -> None:
    """Refused in one sentence, without as much memory as the file asks for."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=match) as caught:
            load_gan(path)
        assert tracemalloc.get_traced_memory()[1] < below_mb * 2**20 + 4 * path.stat().st_size
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_one_layer_under_a_thousand_names_is_refused(tmp_path: Path, legacy: bool) -> None:
    layer, bias = torch.zeros(W, W, dtype=torch.float16), torch.zeros(W, dtype=torch.float16)
    many: dict[str, Tensor] = {f"style.{i}.weight": layer for i in range(2, 1000)}
    many |= {f"style.{i}.bias": bias for i in range(2, 1000)}
    g, _ = states(tiny_spec(8))
    path = tmp_path / "x.pt"
    path.write_bytes(written({"g_ema": g | many}, legacy))
    assert path.stat().st_size < 1_000_000 < 998 * layer.numel()
    refused(path, "same numbers under many names")


def test_one_variable_under_many_names_is_refused(tmp_path: Path) -> None:
    nets = tiny_networks(tiny_spec(8))
    one = np.zeros((W, W), np.float16)
    with nvlabs_files.official_modules():
        networks = nvlabs_files.networks(*nets, torch.zeros(8))
        networks[2].components["mapping"].variables |= {f"Dense{i}/weight": one for i in range(9, 2000)}
        stream = io.BytesIO()
        pickle.dump(networks, stream, 4)
    (tmp_path / "x.pkl").write_bytes(stream.getvalue())
    refused(tmp_path / "x.pkl", "same numbers under many names")


def test_what_is_shared_honestly_is_read() -> None:
    """Views of one storage that do not overlap, and small filters that are the same in every layer."""
    whole = torch.zeros(3, 1000, 1000)
    refuse_repeated([*whole], "generator")
    refuse_repeated([whole, *[torch.ones(4, 4)] * 5000], "generator")
    with pytest.raises(CheckpointError, match="many names"):
        refuse_repeated([whole, whole], "generator")


def test_a_long_text_many_times_over_is_not_written_out(tmp_path: Path) -> None:
    """A setting that is a list of the same long text: 2 GB, were the complaint to quote it."""
    g = tiny_networks(tiny_spec(8))[0]
    bomb = ["x" * 200_000] * 10_000
    for name in ("conv_clamp", "activation", "bias_gain"):
        network = nvlabs_files.generator2(g, torch.zeros(8))
        for module in network.modules():
            vars(module).update({name: bomb})
        nvlabs_files.dump(tmp_path / "x.pkl", nvlabs_files.snapshot(network))
        assert (tmp_path / "x.pkl").stat().st_size < 2_000_000
        refused(tmp_path / "x.pkl", "type list")


def test_what_is_quoted_is_one_short_line() -> None:
    assert one_line("a\nb\x1b[31m" + "c" * 1000, 10) == "a b?[31mcc..."
    assert one_line(float("nan")) == "nan"
    assert one_line(torch.zeros(10**6)) == "a value of type Tensor"
    assert len(one_line(ValueError("x" * 10**6))) < 130


def test_names_of_tensors_are_quoted_in_one_short_line(tmp_path: Path) -> None:
    g, _ = states(tiny_spec(8))
    for name in ("a\nb", "x" * 5000, "\x1b[31mred"):
        (tmp_path / "x.pt").write_bytes(written({"g_ema": g | {name: torch.zeros(1)}}))
        refused(tmp_path / "x.pt", "nobody asked for")


def test_more_layers_than_the_largest_size_has_are_refused(tmp_path: Path) -> None:
    """The size would be 4 px times two to their number, of more digits than Python writes where there are many."""
    g, d = states(tiny_spec(8))
    one = torch.zeros(1)
    many = {f"convs.{i}.conv.weight": one for i in range(2, 60)}
    (tmp_path / "x.pt").write_bytes(written({"g_ema": g | many}))
    refused(tmp_path / "x.pt", "lacks the mapping or the convolutions")
    down = {f"convs.{i}.conv1.0.weight": one for i in range(2, 60)}
    (tmp_path / "x.pt").write_bytes(written({"g_ema": g, "d": d | down}))
    refused(tmp_path / "x.pt", "8 pixels and a discriminator of")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int32, torch.bool, torch.complex64])
def test_numbers_of_other_kinds_are_not_weights(dtype: torch.dtype) -> None:
    assert not all_finite(torch.zeros(2).to(dtype))
    assert all_finite(torch.zeros(2, dtype=torch.bfloat16))
    assert not all_finite(torch.tensor([torch.inf]))
