"""Latents: every form comes back as the same numbers, everything else is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bozzetto.errors import InputError, OutputError
from bozzetto.gan import Gan
from bozzetto.gan.latent import read_latent, save_latent


@pytest.fixture
def layers(gan: Gan, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(gan.info.num_ws, gan.info.w_dim, generator=rng)


def test_write_then_read_is_the_identity(gan: Gan, layers: torch.Tensor, tmp_path: Path) -> None:
    save_latent(tmp_path / "w.safetensors", layers, gan.info)
    assert torch.equal(read_latent(tmp_path / "w.safetensors", gan.info), layers)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_every_shape_and_file_gives_the_same_layers(gan: Gan, layers: torch.Tensor, tmp_path: Path) -> None:
    one = layers[0].expand_as(layers)
    for value, expected in ((layers[0], one), (layers[:1], one), (layers, layers), (layers[None], layers)):
        torch.save(value, tmp_path / "a.pt")
        torch.save({"latent": value, "noise": [torch.zeros(1)]}, tmp_path / "b.pt")
        torch.save({"me.png": {"img": torch.zeros(3), "latent": value, "noise": []}}, tmp_path / "c.PT")
        np.save(tmp_path / "d.npy", value.double().numpy())
        np.savez(tmp_path / "e.npz", latent=value.numpy())
        save_file({"w": value.clone()}, tmp_path / "f.safetensors")
        save_file({"latent": value.clone(), "x": torch.zeros(1)}, tmp_path / "g.safetensors")
        torch.save(torch.nn.Parameter(value), tmp_path / "h.pth")
        for file in tmp_path.iterdir():
            torch.testing.assert_close(read_latent(file, gan.info), expected, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(9,), (8, 8), (2, 6, 8), (1, 1, 6, 8), (1, 5, 8), ()])
def test_other_shapes_are_refused(gan: Gan, tmp_path: Path, shape: tuple[int, ...]) -> None:
    torch.save(torch.zeros(shape), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"needs \[8\] or \[6, 8\]"):
        read_latent(tmp_path / "w.pt", gan.info)


class Malicious:
    """Would make a folder when unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (self.marker,)


def test_code_is_never_run(gan: Gan, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for value in (Malicious(str(marker)), {"latent": torch.zeros(8), "x": [Malicious(str(marker))]}):
        torch.save(value, tmp_path / "w.pt")
        with pytest.raises(InputError, match="read safely"):
            read_latent(tmp_path / "w.pt", gan.info)
    np.save(tmp_path / "w.npy", np.array([Malicious(str(marker))], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="read safely"):
        read_latent(tmp_path / "w.npy", gan.info)
    assert not marker.exists()


def test_other_content_is_refused_with_one_sentence(gan: Gan, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    torch.save(torch.zeros(8), whole)
    for name, content in (
        ("a.pt", b""),
        ("b.pt", b"words"),
        ("c.pt", whole.read_bytes()[:-30]),
        ("d.npy", b""),
        ("e.npy", b"words"),
        ("f.npz", b"PK\x03\x04 words"),
        ("g.safetensors", b""),
        ("h.safetensors", b"\xff" * 20),
        ("i.png", b"words"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_latent(tmp_path / name, gan.info)
        assert str(caught.value).endswith(".")
    for value in ({}, [1], {"latent": [1.0]}, torch.zeros(8, dtype=torch.int64), {"a": {"latent": 1}}, "text"):
        torch.save(value, whole)
        with pytest.raises(InputError, match="holds no latent"):
            read_latent(whole, gan.info)
    np.save(tmp_path / "ints.npy", np.zeros(8, np.int64))
    save_file({"a": torch.zeros(8), "b": torch.zeros(8)}, tmp_path / "two.safetensors")
    for name in ("ints.npy", "two.safetensors"):
        with pytest.raises(InputError, match="holds no latent"):
            read_latent(tmp_path / name, gan.info)


def test_many_missing_and_not_finite(gan: Gan, tmp_path: Path) -> None:
    torch.save({n: {"latent": torch.zeros(8)} for n in "ab"}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="2 latents"):
        read_latent(tmp_path / "w.pt", gan.info)
    with pytest.raises(InputError, match="cannot be read"):
        read_latent(tmp_path / "absent.pt", gan.info)
    torch.save(torch.full((8,), float("nan")), tmp_path / "w.pt")
    with pytest.raises(InputError, match="not finite"):
        read_latent(tmp_path / "w.pt", gan.info)
    with pytest.raises(OutputError):
        save_latent(tmp_path / "no" / "w.safetensors", torch.zeros(6, 8), gan.info)
