"""Strict loading: what is written comes back, and everything else is refused with one sentence."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_gan import ARCHS, tiny_networks, tiny_spec
from torch import Tensor

from bozzetto.errors import CheckpointError, OutputError
from bozzetto.gan import load_gan, names, ops
from bozzetto.gan.checkpoint import load_safetensors, read_metadata, save_safetensors, write_safetensors
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.zoo import ZOO, asset
from bozzetto.results.partial import Partial

FACTS = {"name": "tiny", "category": "noise", "licence": "MIT"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.safetensors"
    save_safetensors(file, *tiny_networks(tiny_spec()), FACTS, torch.float32)
    return file


def rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, str]], object]) -> Path:
    """The file with its tensors and metadata changed in place by `change`."""
    tensors, metadata = load_file(path), read_metadata(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    return path


def assert_refused(path: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        load_gan(path)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message


def test_written_networks_come_back_exactly(path: Path) -> None:
    g, d = tiny_networks(tiny_spec())
    loaded = load_safetensors(path)
    assert loaded.discriminator is not None
    for net, back in ((g, loaded.generator), (d, loaded.discriminator)):
        state = back.state_dict()
        assert state.keys() == net.state_dict().keys()
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_loading_knows_the_file_by_its_content(path: Path) -> None:
    gan = load_gan(path.rename(path.with_suffix(".pkl")))
    assert (gan.info.name, gan.info.category, gan.info.licence) == ("tiny", "noise", "MIT")
    assert (gan.info.resolution, gan.info.z_dim, gan.info.w_dim, gan.info.num_ws) == (16, 6, 8, 6)
    assert len(gan.info.sha256) == 64


def test_a_generator_without_discriminator_loads(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "g", tiny_networks(tiny_spec())[0], None, {})
    gan = load_gan(tmp_path / "g")
    assert gan.discriminator is None
    assert gan.info.category == "unknown"


def test_heads_are_built_in() -> None:
    gan = load_gan("heads")
    (row,) = (row for row in ZOO if row.name == "heads")
    assert (gan.info.name, gan.info.resolution, gan.info.num_ws) == ("heads", 64, 10)
    assert (gan.info.category, gan.info.licence, gan.info.sha256) == ("heads", "MIT", row.sha256)
    card = asset(row).with_suffix(".md").read_text("utf-8")
    assert f"`{row.sha256}`" in card
    assert f"z and w {gan.info.w_dim} wide; {gan.info.num_mapping_layers} mapping layers" in card
    assert not any(p.requires_grad for p in gan.generator.parameters())


@pytest.mark.parametrize("resolution", [8, 16, 64, 256, 1024])
def test_the_name_table_accounts_for_every_tensor_once(resolution: int) -> None:
    spec = StyleGan2Spec(resolution, {2**i: 3 for i in range(2, resolution.bit_length())}, z_dim=5, w_dim=4)
    for net, rows in (
        (Generator(spec), list(names.generator_rows(spec))),
        (Discriminator(spec), list(names.discriminator_rows(spec))),
    ):
        state = net.state_dict()
        assert sorted(row.ours for row in rows) == sorted(state)
        assert len({row.theirs for row in rows}) == len(rows)
        assert all(torch.Size(row.shape).numel() == state[row.ours].numel() for row in rows)


def test_tensors_too_many_too_few_or_wrong_are_refused(path: Path) -> None:
    whole = path.read_bytes()
    changes: list[tuple[Callable[[dict[str, Tensor], dict[str, str]], object], str]] = [
        (lambda t, m: t.pop("g_ema.conv1.conv.weight"), "lacks the tensor 'conv1.conv.weight'"),
        (lambda t, m: t.pop("d.final_linear.1.bias"), "lacks the tensor 'final_linear.1.bias'"),
        (lambda t, m: t.pop("g_ema.noises.noise_3"), "lacks the tensor 'noises.noise_3'"),
        (lambda t, m: t.update({"g_ema.more": torch.zeros(2)}), "nobody asked for, 'more'"),
        (lambda t, m: t.update({"g.style.1.bias": torch.zeros(8)}), "nobody asked for, 'g.style.1.bias'"),
        (lambda t, m: t.update({"d.convs.0.1.bias": torch.zeros(9)}), r"shape \[9\] where \[5\]"),
        (lambda t, m: t["g_ema.style.2.weight"].mul_(float("nan")), "not finite"),
        (lambda t, m: t["d.final_conv.1.bias"].fill_(float("inf")), "not finite"),
        (lambda t, m: t.update({"d.convs.0.1.bias": torch.zeros(5, dtype=torch.int32)}), "not finite"),
        (lambda t, m: m.pop("format"), "not a generator of ours"),
        (lambda t, m: m.update(format="else"), "not a generator of ours"),
        (lambda t, m: m.pop("channels"), "does not state its channels"),
        (lambda t, m: m.update(channels="[1]"), "does not state its channels"),
        (lambda t, m: m.update(channels='{"4": 1e999}'), "does not state its channels"),
        (lambda t, m: m.update(channels='{"4": 1e99, "8": 6}'), "channel table"),
        (lambda t, m: m.update(channels="[" * 100_000), "does not state its channels"),
        (lambda t, m: m.update(channels='{"4": 7, "16": 5}'), "channel table"),
        (lambda t, m: m.update(channels='{"4": 7, "8": 6, "16": 99999999}'), "channel table"),
        (lambda t, m: m.update(channels='{"4": 7, "8": 6, "12": 5}'), "power of two"),
        (lambda t, m: m.update(style_dim="-8"), "cannot be right"),
        (lambda t, m: m.update(n_mlp="100000000"), "cannot be right"),
        (lambda t, m: m.update(n_mlp="2"), "nobody asked for"),
        (lambda t, m: m.update(generator_arch="resnet"), "lacks the tensor 'skips.0.weight'"),
        (lambda t, m: m.update(generator_arch="else"), "does not state its channels"),
        (lambda t, m: m.update(mapping_lr_multiplier="nan"), "does not state its channels"),
        (lambda t, m: m.update(discriminator_channels='{"4": 7, "8": 6, "16": 6}'), r"shape \[5, 3, 1, 1\]"),
    ]
    for change, match in changes:
        path.write_bytes(whole)
        assert_refused(rewrite(path, change), match)


def test_blur_kernels_are_compared_and_not_loaded(path: Path) -> None:
    whole = path.read_bytes()
    right = {
        "g_ema.convs.0.conv.blur.kernel": ops.blur_kernel(4.0),
        "g_ema.to_rgbs.1.upsample.kernel": ops.blur_kernel(4.0),
        "d.convs.1.conv2.0.kernel": ops.blur_kernel(),
        "d.convs.2.skip.0.kernel": ops.blur_kernel(),
    }
    load_gan(rewrite(path, lambda t, m: t.update(right)))
    for key, kernel in right.items():
        path.write_bytes(whole)
        assert_refused(rewrite(path, lambda t, m, k=key, v=kernel: t.update({k: v * 2})), "filter")  # type: ignore[misc]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint at all, only some words",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        pickle.dumps({"g_ema": 1}),
        struct.pack("<Q", 2**39) + b'{"a": 1}',
        struct.pack("<Q", 2**63) + b'{"a": 1}',
        struct.pack("<Q", 8) + b'{"a": 1',
        struct.pack("<Q", 6) + b'{"a":}',
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 200_000) + b'{"a":' * 40_000,
        struct.pack("<Q", 40) + b'{"__metadata__": {"format": ["nested"]}}',
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert_refused(tmp_path / "file", "file")


def test_truncated_and_lying_files_are_refused(path: Path) -> None:
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    for end in (7, 9, length // 2, 8 + length, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert_refused(path, "file")
    path.write_bytes(whole + b"more")
    assert_refused(path, "damaged")
    header = json.loads(whole[8 : 8 + length])
    header["d.convs.0.1.bias"]["data_offsets"] = [0, 2**40]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
    assert_refused(path, "damaged")


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent.safetensors", "heads")
    assert_refused(tmp_path, "heads")


@pytest.mark.parametrize("generator", ARCHS)
@pytest.mark.parametrize("discriminator", ARCHS)
def test_every_architecture_and_channel_table_comes_back(tmp_path: Path, generator: str, discriminator: str) -> None:
    spec = tiny_spec(generator=generator, discriminator=discriminator)
    spec = replace(spec, discriminator_channels={4: 3, 8: 1, 16: 2}, mapping_lr_multiplier=0.02)
    g, d = tiny_networks(spec)
    save_safetensors(tmp_path / "x", g, d, FACTS, torch.float32, w_avg=torch.arange(8.0))
    back = load_safetensors(tmp_path / "x")
    assert back.generator.spec == spec
    assert torch.equal(back.w_avg, torch.arange(8.0))  # type: ignore[arg-type]
    for net, loaded in ((g, back.generator), (d, back.discriminator)):
        assert loaded is not None
        state = loaded.state_dict()
        assert state.keys() == net.state_dict().keys()
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    "more",
    [
        {"conv_clamp": 0.5, "discriminator_conv_clamp": 0.25},
        {"num_classes": 3, "cmap_dim": 5, "num_cmap_layers": 2},
        {"mbstd_channels": 7},
        {"demodulates_stored_weight": True, "generator_arch": "resnet", "discriminator_arch": "orig"},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_the_names_cannot_say_comes_back_too(tmp_path: Path, more: dict[str, Any], dtype: torch.dtype) -> None:
    spec = replace(tiny_spec(), **more)
    g, d = tiny_networks(spec)
    mean = torch.randn(8)
    save_safetensors(tmp_path / "x", g, d, {"name": "n"}, dtype, mean)
    back = load_safetensors(tmp_path / "x")
    assert (back.generator.spec, back.facts["name"], back.facts["format"]) == (spec, "n", "bozzetto-stylegan2")
    torch.testing.assert_close(back.w_avg, mean, rtol=0, atol=0)
    for net, loaded in ((g, back.generator), (d, back.discriminator)):
        assert type(net) is type(loaded)
        for key, value in net.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[key], value.to(dtype).float(), rtol=0, atol=0)


def test_a_value_too_large_for_float16_is_kept(tmp_path: Path) -> None:
    g, _ = tiny_networks(tiny_spec())
    g.mapping.layers[0].weight.data[0, 0] = 1e6
    save_safetensors(tmp_path / "x", g, None, {}, torch.float16)
    types = {key: tensor.dtype for key, tensor in load_file(tmp_path / "x").items()}
    assert [key for key, dtype in types.items() if dtype != torch.float16] == ["g_ema.style.1.weight"]
    loaded = load_safetensors(tmp_path / "x").generator
    assert torch.equal(loaded.mapping.layers[0].weight, g.mapping.layers[0].weight)


def test_a_stored_mean_latent_is_what_truncation_pulls_to(tmp_path: Path) -> None:
    mean = torch.linspace(-3, 4, 8)
    save_safetensors(tmp_path / "x", *tiny_networks(tiny_spec()), {}, torch.float32, mean)
    save_safetensors(tmp_path / "y", *tiny_networks(tiny_spec()), {}, torch.float32)
    gan, plain = load_gan(tmp_path / "x"), load_gan(tmp_path / "y")
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gan.w_from_z(z, 0.0), mean.expand(3, 6, 8))
    assert torch.equal(gan.w_from_z(z), plain.w_from_z(z))
    assert not torch.allclose(gan.w_from_z(z, 0.5), plain.w_from_z(z, 0.5))
    assert torch.equal(plain.w_from_z(z, 0.0)[0, 0], plain.w_mean())


@pytest.mark.parametrize("mean", [torch.zeros(7), torch.zeros(1, 8), torch.full((8,), torch.nan), torch.zeros(8).int()])
def test_a_mean_latent_that_is_none_is_refused(path: Path, mean: Tensor) -> None:
    assert_refused(rewrite(path, lambda t, m: t.update(w_avg=mean)), "mean latent")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_safetensors(tmp_path / "no" / "x", *tiny_networks(tiny_spec()), {})
    assert list(tmp_path.iterdir()) == []


def test_files_are_as_readable_as_any_other_and_alone(tmp_path: Path) -> None:
    """The library's own writer would make them private, by way of a temporary file that a kill leaves behind."""
    (tmp_path / "other").write_bytes(b"")
    Partial(tmp_path, {}).save("state.safetensors", {"x": torch.zeros(3)})
    write_safetensors(tmp_path / "gan.safetensors", {"x": torch.zeros(3)}, {})
    found = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert set(found) == {"other", "state.safetensors", "gan.safetensors"}
    assert len(set(found.values())) == 1
