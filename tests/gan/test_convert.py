"""Converted files make the pictures of the file that they were made from, and say where they are from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rosinality_files import converted, trained, written
from safetensors.torch import load_file

from bozzetto.cli.main import execute
from bozzetto.download import sha256_of
from bozzetto.gan import load_gan
from bozzetto.gan.checkpoint import read_metadata
from bozzetto.gan.convert import convert


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "published.pt"
    path.write_bytes(written(converted()))
    return path


def test_a_converted_file_is_the_same_generator(tmp_path: Path, source: Path) -> None:
    convert(source, tmp_path / "a.safetensors", facts={"licence": "CC0", "category": "noise"})
    old, new = load_gan(source), load_gan(tmp_path / "a.safetensors")
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    for psi in (1.0, 0.5, 0.0):
        assert torch.equal(old.w_from_z(z, psi), new.w_from_z(z, psi))
    images = old.image_from_w(old.w_from_z(z))
    assert torch.equal(images, new.image_from_w(new.w_from_z(z)))
    assert torch.equal(old.logits(images), new.logits(images))
    assert (new.info.name, new.info.licence, new.info.category) == ("published", "CC0", "noise")
    assert read_metadata(tmp_path / "a.safetensors")["source_sha256"] == sha256_of(source)


def test_float16_halves_the_file_and_nearly_keeps_the_pictures(tmp_path: Path, source: Path) -> None:
    convert(source, tmp_path / "a.safetensors", "float16")
    types = {key: tensor.dtype for key, tensor in load_file(tmp_path / "a.safetensors").items()}
    assert types.pop("w_avg") == torch.float32
    assert set(types.values()) == {torch.float16}
    old, new = load_gan(source), load_gan(tmp_path / "a.safetensors")
    w = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    image = old.image_from_w(w)
    assert 0 < (image - new.image_from_w(w)).abs().max() < 0.01 * image.abs().max()


def test_a_converted_file_converts_to_itself(tmp_path: Path, source: Path) -> None:
    convert(source, tmp_path / "a.safetensors")
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    convert(a, b, facts={"source_sha256": sha256_of(source)})
    assert read_metadata(a) == read_metadata(b)
    tensors = load_file(b)
    assert tensors.keys() == load_file(a).keys()
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in load_file(a).items())


def test_a_built_in_generator_keeps_its_facts(tmp_path: Path) -> None:
    convert("heads", tmp_path / "a.safetensors", "float16")
    facts = read_metadata(tmp_path / "a.safetensors")
    assert (facts["name"], facts["category"], facts["licence"]) == ("heads", "heads", "MIT")
    w = load_gan("heads").w_samples(2, 0)
    assert torch.equal(load_gan("heads").image_from_w(w), load_gan(tmp_path / "a.safetensors").image_from_w(w))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "x.pt", tmp_path / "x.safetensors"
    source.write_bytes(written(trained(), legacy=True))
    command = ["gan", "convert", str(source), "-o", str(out)]
    assert execute([*command, "--licence", "CC0", "--category", "cat", "--name", "tiny"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    info = load_gan(out).info
    assert (info.name, info.licence, info.category) == ("tiny", "CC0", "cat")
    before = out.read_bytes()
    assert execute(command) == 5
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert execute([*command, "--overwrite", "--dtype", "float16"]) == 0
    assert len(out.read_bytes()) < 0.75 * len(before)
    source.write_bytes(source.read_bytes()[:5000])
    assert execute([*command, "--overwrite"]) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.pt", "x.safetensors"]
