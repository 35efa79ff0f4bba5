"""NVIDIA's pickles, written here in their official layout: the networks that come back are the ones that went in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nvlabs_files as files
import pytest
import torch
from nvlabs_files import Persistent, dump, snapshot
from tiny_gan import ARCHS, tiny_networks, tiny_spec
from tiny_gan3 import SMALL, R, tiny_generator3, tiny_spec3
from torch import Tensor, nn

from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan import Gan, load_gan
from bozzetto.gan.convert import convert
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.stylegan2 import Generator

ADA = {"conv_clamp": 0.7, "discriminator_conv_clamp": 0.9, "demodulates_stored_weight": True}
W_AVG = torch.linspace(-1, 1, 8)


def ada_networks(classes: int = 0, size: int = 16, **settings: Any) -> tuple[Generator, Discriminator]:
    labels = {"num_classes": classes, "num_cmap_layers": 2} if classes else {}
    spec = replace(tiny_spec(size), **(ADA | labels | settings))
    return tiny_networks(spec)


def write(path: Path, g: Generator, d: Discriminator, **more: Any) -> Path:
    return dump(path, snapshot(files.generator2(g, W_AVG), files.discriminator(d)) | more)


def check_same(gan: Gan, g: nn.Module, d: Discriminator | None, rng: torch.Generator) -> Tensor:
    """Pictures, latents, truncation and logits are those of the networks; returns the pictures."""
    z, index = torch.randn(3, 6, generator=rng), gan.info.class_index
    label = None if index is None else torch.eye(gan.info.num_classes)[index].expand(3, -1)
    with torch.no_grad():
        w = g.mapping(z, label)
        torch.testing.assert_close(gan.w_from_z(z)[:, 0], w, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gan.w_from_z(z, psi=0.3)[:, -1], W_AVG + 0.3 * (w - W_AVG), rtol=1e-5, atol=1e-5)
        image = g.synthesis(w[:, None].expand(-1, gan.info.num_ws, -1), g.synthesis.noises())
        torch.testing.assert_close(gan.image_from_w(w), image, rtol=1e-4, atol=1e-5)
        if d is not None:
            torch.testing.assert_close(gan.logits(image), d(image, label=label), rtol=1e-4, atol=1e-5)
    return image


def both_ways(path: Path, tmp_path: Path, **given: Any) -> list[Gan]:
    """The file as it is, and converted to safetensors."""
    convert(path, tmp_path / "converted")
    return [load_gan(path, **given), load_gan(tmp_path / "converted", **given)]


@pytest.mark.parametrize("arch", ARCHS)
def test_stylegan2_ada_comes_back(tmp_path: Path, rng: torch.Generator, arch: str) -> None:
    g, d = ada_networks(generator_arch=arch, discriminator_arch=arch, mbstd_channels=7, mbstd_group=2)
    for gan in both_ways(write(tmp_path / "x.pkl", g, d), tmp_path):
        assert gan.info.kind == "stylegan2"
        assert gan.generator.spec == replace(
            g.spec, mbstd_channels=1, mbstd_group=4, discriminator_conv_clamp=None, discriminator_arch="resnet"
        )
        assert gan.discriminator.spec == replace(
            d.spec,
            generator_arch="skip",
            conv_clamp=None,
            z_dim=512,
            w_dim=512,
            num_mapping_layers=8,
            demodulates_stored_weight=False,
        )
        check_same(gan, g, d, rng)


def test_the_state_dict_has_the_official_names(tmp_path: Path) -> None:
    """Counted out once by hand for 8 px, from the lists that people print of their networks."""
    spec = replace(tiny_spec(8), num_classes=3, num_mapping_layers=2, **ADA)
    g, d = tiny_networks(spec)
    conv = ("affine.bias", "affine.weight", "bias", "noise_const", "noise_strength", "resample_filter", "weight")
    rgb = ("affine.bias", "affine.weight", "bias", "weight")
    names = {"b4.const", "b4.resample_filter", "b8.resample_filter"}
    names |= {f"{layer}.{name}" for layer in ("b4.conv1", "b8.conv0", "b8.conv1") for name in conv}
    names |= {f"{layer}.{name}" for layer in ("b4.torgb", "b8.torgb") for name in rgb}
    linear = {"mapping.embed.weight", "mapping.embed.bias", "mapping.fc0.weight", "mapping.fc0.bias"}
    linear |= {"mapping.fc1.weight", "mapping.fc1.bias", "mapping.w_avg"}
    assert set(files.generator2(g, W_AVG).state_dict()) == {f"synthesis.{n}" for n in names} | linear
    names = {"b8.resample_filter", "b8.skip.weight", "b8.skip.resample_filter"}
    for layer in ("b8.fromrgb", "b8.conv0", "b8.conv1", "b4.conv"):
        names |= {f"{layer}.weight", f"{layer}.bias", f"{layer}.resample_filter"}
    names |= {"b4.fc.weight", "b4.fc.bias", "b4.out.weight", "b4.out.bias"}
    mapping = {f"mapping.fc{i}.{part}" for i in range(8) for part in ("weight", "bias")}
    mapping |= {"mapping.embed.weight", "mapping.embed.bias"}
    assert set(files.discriminator(d).state_dict()) == names | mapping
    layer = set(files.generator3(tiny_generator3(tiny_spec3(16)), W_AVG).synthesis._modules["L0_28_8"].state_dict())
    assert layer == {"weight", "bias", "magnitude_ema", "up_filter", "down_filter", "affine.weight", "affine.bias"}


@pytest.mark.parametrize("settings", [{}, R], ids=["T", "R"])
@pytest.mark.parametrize("attributes", [True, False])
def test_stylegan3_comes_back(tmp_path: Path, rng: torch.Generator, settings: dict[str, Any], attributes: bool) -> None:
    """With what modules keep, and by the paper's rule from what the constructor was given."""
    given = SMALL | {"conv_clamp": 2.0, "output_scale": 0.5} | settings
    rest = {key: value for key, value in given.items() if key != "output_scale"}
    g = tiny_generator3(replace(tiny_spec3(32, **rest), output_scale=0.5))
    _, d = tiny_networks(replace(tiny_spec(32), discriminator_conv_clamp=0.9, channels={4: 3, 8: 4, 16: 6, 32: 2}))
    content = snapshot(files.generator3(g, W_AVG, attributes, **given), files.discriminator(d))
    for gan in both_ways(dump(tmp_path / "x.pkl", content), tmp_path):
        assert gan.info.kind == ("stylegan3-r" if settings else "stylegan3-t")
        assert gan.generator.spec == g.spec
        check_same(gan, g, d, rng)
        assert gan.features(torch.zeros(1, 3, 32, 32), 2)[1].shape == (1, 3 + 1, 8, 8)


def test_the_filters_of_the_file_are_used(tmp_path: Path, rng: torch.Generator) -> None:
    g = tiny_generator3(tiny_spec3())
    g.synthesis.layers[2].up_filter.mul_(1.01)
    gan = load_gan(dump(tmp_path / "x.pkl", snapshot(files.generator3(g, W_AVG))))
    check_same(gan, g, None, rng)


@pytest.mark.parametrize("three", [False, True])
def test_classes_come_back(tmp_path: Path, rng: torch.Generator, three: bool) -> None:
    g, d = ada_networks(classes=4, size=8, cmap_dim=5)
    if three:
        g = tiny_generator3(tiny_spec3(8, classes=4, num_layers=3, margin_size=2))
    network = files.generator3(g, W_AVG) if three else files.generator2(g, W_AVG)
    path = dump(tmp_path / "x.pkl", snapshot(network, files.discriminator(d)))
    with pytest.raises(InputError, match="4 classes; say which with --gan-class"):
        load_gan(path)
    with pytest.raises(InputError, match="0 to 3"):
        load_gan(path, class_index=4)
    images = []
    for gan in (*both_ways(path, tmp_path, class_index=0), load_gan(tmp_path / "converted", class_index=3)):
        assert (gan.info.num_classes, gan.info.name[-7:]) == (4, f"_class{gan.info.class_index}")
        images.append(check_same(gan, g, d, torch.Generator().manual_seed(1)))
    assert (images[0] - images[2]).abs().max() > 0.01
    plain = write(tmp_path / "y.pkl", *ada_networks(size=8))
    with pytest.raises(InputError, match="knows no classes"):
        load_gan(plain, class_index=0)


@pytest.mark.parametrize("ada", [False, True])
def test_settings_that_no_module_keeps_are_the_constructors(tmp_path: Path, ada: bool) -> None:
    """StyleGAN2-ADA nests them and had no clamp by default; what came with StyleGAN3 does not and clamps at 256."""
    g, d = ada_networks(size=8)

    def read(**settings: Any) -> Gan:
        nested = {"synthesis_kwargs": settings} if ada else settings
        content = snapshot(files.generator2(g, W_AVG, False, **nested), files.discriminator(d, False))
        return load_gan(dump(tmp_path / "x.pkl", content))

    default = None if ada else 256.0
    assert read().generator.spec.conv_clamp == default
    assert read().discriminator.spec.discriminator_conv_clamp == default
    assert read(conv_clamp=0.7, num_fp16_res=4).generator.spec.conv_clamp == 0.7


def test_what_is_kept_elsewhere_is_found(tmp_path: Path, rng: torch.Generator) -> None:
    """Frozen layers keep weights as buffers; a generator may be alone, saved by torch, or made without noise."""
    g, d = ada_networks(size=8)
    frozen = files.discriminator(d)
    for name in ("weight", "bias"):
        tensor = frozen.b8.conv0._parameters.pop(name)
        frozen.b8.conv0.register_buffer(name, tensor.detach())
    gan = load_gan(dump(tmp_path / "x.pkl", snapshot(files.generator2(g, W_AVG), frozen), protocol=2))
    check_same(gan, g, d, rng)
    alone = files.generator2(g, W_AVG)
    check_same(load_gan(dump(tmp_path / "alone.pkl", alone)), g, None, rng)
    with files.official_modules():
        torch.save({"G_ema": alone}, tmp_path / "zip.pt")
    check_same(load_gan(tmp_path / "zip.pt"), g, None, rng)
    for module in alone.modules():
        if module._buffers.pop("noise_const", None) is not None:
            del module._parameters["noise_strength"]
    for layer in g.synthesis.layers:
        layer.noise_strength.data.zero_()
    check_same(load_gan(dump(tmp_path / "quiet.pkl", alone)), g, None, rng)


def test_a_discriminator_of_another_kind_is_left(tmp_path: Path, rng: torch.Generator) -> None:
    g, _ = ada_networks(size=8)
    gan = load_gan(dump(tmp_path / "x.pkl", snapshot(files.generator2(g, W_AVG), Persistent("ProjectedDiscriminator"))))
    check_same(gan, g, None, rng)
    assert gan.discriminator is None


Spoil = Callable[[Persistent, Persistent], Any]


def edit(module: str, **attributes: Any) -> Spoil:
    def spoil(g: Persistent, d: Persistent) -> None:
        vars(g.get_submodule(module)).update(attributes)

    return spoil


def tensor(module: str, name: str, value: Tensor | None) -> Spoil:
    """Another tensor, or none, in the generator (or in the discriminator, by its names)."""

    def spoil(g: Persistent, d: Persistent) -> None:
        net = g if module.startswith(("synthesis", "mapping")) else d
        found = net.get_submodule(module)
        found._buffers.pop(name, None)
        found._parameters.pop(name, None)
        if value is not None:
            found.register_buffer(name, value)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (tensor("synthesis.b8.conv1", "weights", torch.zeros(3)), "nobody asked for"),
        (tensor("synthesis.b8.conv1", "bias", None), "lacks the tensor 'synthesis.b8.conv1.bias'"),
        (tensor("synthesis.b8.conv1", "bias", torch.zeros(3)), "shape"),
        (tensor("synthesis.b8.conv1", "bias", torch.full((6,), torch.nan)), "not finite"),
        (tensor("synthesis.b8.conv1", "resample_filter", torch.ones(4, 4) / 16), r"\[1, 3, 3, 1\]"),
        (tensor("mapping", "w_avg", torch.zeros(3)), "mean latent"),
        (tensor("mapping.fc0", "weight", None), "mapping"),
        (tensor("b8.conv0", "bias", None), "lacks the tensor 'b8.conv0.bias'"),
        (tensor("b4.conv", "resample_filter", torch.zeros(4, 4)), r"\[1, 3, 3, 1\]"),
        (edit("synthesis.b4.conv1", activation="relu"), "relu"),
        (edit("synthesis.b4.conv1", conv_clamp=-1.0), "conv_clamp"),
        (edit("synthesis.b4.conv1", conv_clamp="256"), "not a number"),
        (edit("mapping.fc0", bias_gain=float("nan")), "lr_multiplier"),
        (edit("", class_name="Encoder"), "holds a Encoder"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, spoil: Spoil, complaint: str) -> None:
    g, d = ada_networks(size=8)
    networks = files.generator2(g, W_AVG), files.discriminator(d)
    spoil(*networks)
    path = dump(tmp_path / "x.pkl", snapshot(*networks))
    with pytest.raises(CheckpointError, match=complaint):
        load_gan(path)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("padding", [1, 2, 1, 2], "padding"),
        ("in_size", [44, 28], "not square"),
        ("in_sampling_rate", 0, "do not make"),
        ("in_cutoff", "2", "not a number"),
        ("conv_clamp", 0, "do not make"),
        ("out_size", 10**9, "do not make|padding"),
    ],
)
def test_stylegan3_that_does_not_fit_is_refused(tmp_path: Path, name: str, value: object, complaint: str) -> None:
    network = files.generator3(tiny_generator3(tiny_spec3(16, num_layers=3)), W_AVG)
    vars(network.synthesis._modules["L1_28_8"])[name] = value
    with pytest.raises(CheckpointError, match=complaint):
        load_gan(dump(tmp_path / "x.pkl", snapshot(network)))


def test_contents_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    g, d = ada_networks(size=8)
    other = ada_networks(size=16)[1]
    network, judge = files.generator2(g, W_AVG), files.discriminator(d)
    for content, complaint in (
        (snapshot(network, files.discriminator(other)), "discriminator of 16"),
        ({"D": judge}, "without its generator"),
        (snapshot(network, judge) | {"extra": [torch.zeros(3)]}, "'extra'"),
        (snapshot(network, EasyThing()), "a network without a class"),
    ):
        with pytest.raises(CheckpointError, match=complaint):
            load_gan(dump(tmp_path / "x.pkl", content))
    load_gan(dump(tmp_path / "x.pkl", snapshot(network, judge) | {"progress": 25000.0}))


class EasyThing(list):  # type: ignore[type-arg]
    """Nothing that a checkpoint has."""
