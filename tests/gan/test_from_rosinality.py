"""Checkpoints of rosinality's programs: the same networks whatever the container, and nothing unaccounted for."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rosinality_files import converted, states, trained, written
from tiny_gan import tiny_networks, tiny_spec

from bozzetto.errors import CheckpointError
from bozzetto.gan import Gan, load_gan
from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.from_rosinality import NOT_LOADED, spec_from_tensors


def load(tmp_path: Path, data: bytes, name: str = "x.pt") -> Gan:
    (tmp_path / name).write_bytes(data)
    return load_gan(tmp_path / name)


def assert_same(gan: Gan, other: Gan) -> None:
    """Equal bit for bit: latents, pictures with their noise, logits."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(3, gan.info.z_dim, generator=rng)
    w = gan.w_from_z(z)
    assert torch.equal(w, other.w_from_z(z))
    image = gan.image_from_w(w)
    assert torch.equal(image, other.image_from_w(w))
    assert torch.equal(gan.logits(image), other.logits(image))


@pytest.fixture
def reference(tmp_path: Path) -> Gan:
    path = tmp_path / "reference.safetensors"
    save_safetensors(path, *tiny_networks(tiny_spec()), {}, torch.float32)
    return load_gan(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", [converted, trained])
def test_both_kinds_of_file_in_both_containers_are_the_same_networks(
    tmp_path: Path, reference: Gan, kind: Callable[[], dict[str, Any]], legacy: bool
) -> None:
    gan = load(tmp_path, written(kind(), legacy), "named_by.safetensors")
    assert_same(gan, reference)
    assert replace(gan.info, name="", sha256="") == replace(reference.info, name="", sha256="")


def test_a_bare_pickle_is_the_same_networks(tmp_path: Path, reference: Gan) -> None:
    for protocol in (2, 4, 5):
        assert_same(load(tmp_path, pickle.dumps(converted(), protocol)), reference)


def test_the_mean_latent_of_the_file_is_what_truncation_pulls_to(tmp_path: Path, reference: Gan) -> None:
    z = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    for shape in ((8,), (1, 8)):
        value = converted()
        value["latent_avg"] = value["latent_avg"].reshape(shape)
        gan = load(tmp_path, written(value))
        assert torch.equal(gan.w_from_z(z, 0.0), torch.linspace(-1, 1, 8).expand(2, 6, 8))
        expected = torch.lerp(torch.linspace(-1, 1, 8).expand(2, 6, 8), reference.w_from_z(z), 0.7)
        assert torch.allclose(gan.w_from_z(z, 0.7), expected, atol=1e-6)


def test_what_parallel_training_puts_before_names_is_taken_off(tmp_path: Path, reference: Gan) -> None:
    value = trained()
    for part in ("g_ema", "d"):
        value[part] = {f"module.{name}": tensor for name, tensor in value[part].items()}
    assert_same(load(tmp_path, written(value)), reference)
    del value["g_ema"]["module.conv1.noise.weight"]
    value["g_ema"]["conv1.noise.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError):
        load(tmp_path, written(value))


def test_a_generator_alone_is_enough(tmp_path: Path, reference: Gan) -> None:
    g, _ = states()
    for value in ({"g_ema": g}, {"g": g}, g, {"g_ema": g, "latent_avg": torch.zeros(8)}):
        gan = load(tmp_path, written(value))
        assert gan.discriminator is None
        w = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(gan.image_from_w(w), reference.image_from_w(w))


def test_weights_before_averaging_are_not_taken(tmp_path: Path, reference: Gan) -> None:
    value = trained()
    value["g"]["conv1.conv.weight"].fill_(torch.nan)
    assert_same(load(tmp_path, written(value)), reference)
    assert set(NOT_LOADED) >= set(value) - {"g_ema", "d"}


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    g, _ = states()
    gan = load(tmp_path, written({"g_ema": {name: tensor.half() for name, tensor in g.items()}}))
    assert torch.equal(gan.generator.mapping.layers[0].weight, g["style.1.weight"].half().float())


def test_files_without_stored_noise_have_none(tmp_path: Path, reference: Gan) -> None:
    g = {name: tensor for name, tensor in states()[0].items() if not name.startswith("noises.")}
    gan = load(tmp_path, written({"g_ema": g}))
    w = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gan.image_from_w(w), reference.image_from_w(w, noise="none"))
    g["noises.noise_0"] = torch.zeros(1, 1, 4, 4)  # some, but not all: not whole
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'noises.noise_1'"):
        load(tmp_path, written({"g_ema": g}))


@pytest.mark.parametrize("resolution", [8, 16, 32])
def test_the_shape_is_read_from_the_tensors(resolution: int) -> None:
    spec = tiny_spec(resolution)
    assert spec_from_tensors(*states(spec), "x") == spec
    narrow = replace(spec, discriminator_channels=dict.fromkeys(spec.resolutions, 3))
    assert spec_from_tensors(*states(narrow), "x") == narrow


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda v: v["g_ema"].pop("to_rgbs.1.bias"), "lacks the tensor 'to_rgbs.1.bias'"),
        (lambda v: v["g_ema"].pop("input.input"), "lacks the tensor 'input.input'"),
        (lambda v: v["g_ema"].pop("style.1.weight"), "lacks the mapping"),
        (lambda v: v["g_ema"].pop("convs.1.conv.weight"), "lacks the mapping"),
        (lambda v: v["d"].pop("final_linear.0.bias"), "lacks the tensor 'final_linear.0.bias'"),
        (lambda v: v["d"].pop("convs.2.conv1.0.weight"), "16 pixels and a discriminator of 8"),
        (lambda v: v["g_ema"].update(more=torch.zeros(1)), "nobody asked for, 'more'"),
        (lambda v: v["g_ema"].update({"style.9.weight": torch.zeros(1)}), "nobody asked for, 'style.9.weight'"),
        (lambda v: v["g_ema"].update({"conv1.conv.weight": torch.zeros(1, 7, 7, 3, 2)}), r"'conv1.conv.weight' has sh"),
        (lambda v: v["g_ema"].update({"input.input": torch.zeros(4)}), "'input.input', or it has too few axes"),
        (lambda v: v["g_ema"].update({"input.input": torch.zeros(1, 0, 4, 4)}), "channel table"),
        (lambda v: v["g_ema"]["convs.2.conv.weight"].fill_(torch.nan), "'convs.2.conv.weight' holds values that"),
        (lambda v: v["d"]["convs.0.1.bias"].fill_(-torch.inf), "'convs.0.1.bias' holds values that"),
        (lambda v: v["g_ema"].update({"to_rgb1.bias": torch.zeros(1, 3, 1, 1).int()}), "'to_rgb1.bias' holds values"),
        (lambda v: v["g_ema"]["convs.0.conv.blur.kernel"].mul_(2), r"not the \[1, 3, 3, 1\] filter"),
        (lambda v: v["d"]["convs.1.skip.0.kernel"].zero_(), r"not the \[1, 3, 3, 1\] filter"),
        (lambda v: v["g_ema"].update(text="a"), "not a table of tensors"),
        (lambda v: v.update(d=[1]), "not a table of tensors"),
        (lambda v: v.update(d={}), "not a table of tensors"),
        (lambda v: v.update(e=v["d"]), "holds 'e', which no StyleGAN2 checkpoint has"),
        (lambda v: setattr(v["args"], "size", 32), "says size = 32 where its tensors say 16"),
        (lambda v: setattr(v["args"], "n_mlp", 8), "says n_mlp = 8"),
        (lambda v: setattr(v["args"], "latent", 512), "says latent = 512"),
        (lambda v: v.update(latent_avg=torch.zeros(7)), "mean latent"),
        (lambda v: v.update(latent_avg=torch.full((8,), torch.nan)), "not finite"),
        (lambda v: v.update(latent_avg="a"), "mean latent"),
        (lambda v: v.clear(), "no generator this program knows"),
        (lambda v: v.pop("g_ema") and v.pop("g"), "no generator this program knows"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, change: Change, match: str, legacy: bool) -> None:
    value = trained()
    change(value)
    with pytest.raises(CheckpointError, match=match) as caught:
        load(tmp_path, written(value, legacy))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 1, "text", [1], {"a": torch.zeros(1)}, torch.zeros(3), torch.nn.Linear(1, 1)])
def test_pickles_of_other_things_name_what_is_known(tmp_path: Path, value: object) -> None:
    for data in (written(value), written(value, legacy=True), pickle.dumps(value)):
        with pytest.raises(CheckpointError, match=r"no generator this program knows \(rosinality"):
            load(tmp_path, data)
    with pytest.raises(CheckpointError, match=r"\(bozzetto .safetensors, rosinality"):
        load(tmp_path, b"plain text")
