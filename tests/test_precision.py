"""What precision a choice comes to, and that a fit of "auto" is the fit of what it comes to."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bozzetto import Reconstruction, precision, reconstruct
from bozzetto.config import ComputeConfig
from bozzetto.gan.training.trainer import TrainConfig
from bozzetto.method.problem import door
from bozzetto.nets.heads import depth_from_raw
from bozzetto.nets.networks import make_networks
from bozzetto.presets import GENERAL_PRESETS, PRESETS
from bozzetto.results import read_networks
from tiny_run import CONFIG, INVERSION, photo, write_gan

CPUINFO = Path("/proc/cpuinfo")
NAMES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch's


@pytest.fixture
def asked_anew() -> Iterator[None]:
    precision.has_fast_bf16.cache_clear()
    yield
    precision.has_fast_bf16.cache_clear()


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", torch.device("cpu")])
@pytest.mark.parametrize("choice", ["fp32", "bf16"])
def test_what_is_asked_for_by_name_is_what_comes(choice: precision.Precision, device: str | torch.device) -> None:
    assert precision.resolve(choice, device) == choice


@pytest.mark.skipif(
    not CPUINFO.exists() or platform.machine() != "x86_64", reason="reads the kernel's list of instructions"
)
def test_the_kernel_names_the_same_instructions() -> None:
    flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split()
    has = "avx512_bf16" in flags or "amx_tile" in flags
    assert precision.has_fast_bf16("cpu") == has
    assert precision.resolve("auto", "cpu") == ("bf16" if has else "fp32")


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize(
    ("first", "second", "expected"), [(False, False, "fp32"), (True, False, "bf16"), (False, True, "bf16")]
)
def test_one_of_the_two_kinds_of_instructions_is_enough(
    monkeypatch: pytest.MonkeyPatch, first: bool, second: bool, expected: str
) -> None:
    for name, has in zip(NAMES, (first, second), strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    assert precision.resolve("auto", "cpu") == expected


@pytest.mark.usefixtures("asked_anew")
def test_a_torch_that_does_not_know_counts_as_a_machine_without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert precision.resolve("auto", "cpu") == "fp32"


def test_without_a_graphics_card_there_is_none_that_has_it(monkeypatch: pytest.MonkeyPatch, asked_anew: None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.resolve("auto", "cuda:0") == "fp32"
    assert precision.resolve("auto", "meta") == "fp32"


@pytest.mark.usefixtures("asked_anew")
def test_graphics_cards_are_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name: {"cuda:0": (7, 5), "cuda:1": (8, 0)}[name])
    assert [precision.resolve("auto", f"cuda:{i}") for i in range(2)] == ["fp32", "bf16"]


def test_no_default_asks_for_bfloat16_where_it_may_be_slow() -> None:
    compute = [config.compute for config in PRESETS.values()]
    compute += [config.fit.compute for config in GENERAL_PRESETS.values()]
    assert "bf16" not in {each for one in compute for each in (one.precision, one.gan_precision)}
    assert TrainConfig().precision == "auto"


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize("has", [False, True])
def test_a_fit_of_auto_is_the_fit_of_what_it_comes_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has: bool
) -> None:
    for name in NAMES:
        monkeypatch.setattr(torch.cpu, name, lambda: has, raising=False)
    gan = write_gan(tmp_path / "tiny.safetensors")
    named: precision.Precision = "bf16" if has else "fp32"

    def fitted(choice: precision.PrecisionChoice) -> Reconstruction:
        config = replace(CONFIG, compute=ComputeConfig(precision=choice, gan_precision=choice))
        return reconstruct(photo(), gan=gan, mask="border", config=config, inversion=INVERSION)

    auto, same, other = fitted("auto"), fitted(named), fitted("fp32" if has else "bf16")
    for field in ("depth", "albedo", "view", "light", "latent"):
        assert torch.equal(getattr(auto, field), getattr(same, field)), field
    assert not torch.equal(auto.depth, other.depth)  # so that the above is no matter of course
    found = auto.provenance.config["found"]
    assert (found["precision"], found["gan_precision"]) == (named, named)
    assert auto.provenance.config["fit"]["compute"]["precision"] == "auto"  # so that a resume elsewhere is no other fit


def test_a_record_is_drawn_up_in_float32_whatever_the_fit_computed_in(tmp_path: Path) -> None:
    """Its depth is what its own networks say in float32, to the bit, and not what they say in bfloat16."""
    gan = write_gan(tmp_path / "tiny.safetensors")
    config = replace(CONFIG, compute=replace(CONFIG.compute, precision="bf16"))
    reconstruct(photo(), gan, mask="none", config=config, inversion=INVERSION, out=tmp_path / "r", formats=())
    result, kept = Reconstruction.load(tmp_path / "r"), read_networks(tmp_path / "r")
    assert kept is not None
    nets = make_networks(result.size, result.latent.shape[-1], torch.Generator(), width=config.nets.width)
    nets.load_state(dict(kept))
    with torch.no_grad():
        exact = depth_from_raw(nets.depth(door(result.image[None])), result.depth_range)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coarse = depth_from_raw(nets.depth(door(result.image[None])).float(), result.depth_range)
    assert torch.equal(result.depth, exact[0])
    assert not torch.equal(result.depth, coarse[0])
