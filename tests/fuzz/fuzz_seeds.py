"""What the fuzzer begins with: a small whole file of every kind that the loaders of generators read."""

from __future__ import annotations

import io
import pickle
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "gan"))

import nvlabs_files
import rosinality_files
from tiny_gan import tiny_networks
from tiny_gan3 import R, tiny_generator3, tiny_spec3

from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.protocol import GeneratorNet
from bozzetto.gan.spec import StyleGan2Spec

W = 8  # numbers of a latent
FACTS = {"name": "tiny", "category": "noise", "licence": "MIT"}


def spec2(**more: Any) -> StyleGan2Spec:
    """The smallest StyleGAN2 that is allowed: 8 px, 2 channels, then 1."""
    spec = StyleGan2Spec(8, {4: 2, 8: 1}, z_dim=2, w_dim=W, num_mapping_layers=1)
    return replace(spec, **more)


def seeds() -> dict[str, bytes]:
    """Name to content."""
    torch.manual_seed(0)
    mean = torch.linspace(-1, 1, W)
    g, d = tiny_networks(spec2())
    g3 = {name: tiny_generator3(_spec3(**rest)) for name, rest in (("t", {}), ("r", R), ("classes", {"classes": 2}))}
    classes = tiny_networks(spec2(num_classes=2, num_cmap_layers=1, conv_clamp=0.5, discriminator_conv_clamp=0.25))
    found = {
        "own.safetensors": _own(g, d, mean),
        "own2.safetensors": _own(*classes, mean),
        "own3.safetensors": _own(g3["r"], None, mean),
        "rosinality.pt": rosinality_files.written(rosinality_files.converted(spec2())),
        "trained_legacy.pt": rosinality_files.written(rosinality_files.trained(spec2()), legacy=True),
        "state.pt": rosinality_files.written(
            {f"module.{k}": v for k, v in rosinality_files.states(spec2())[0].items()}
        ),
        "ada.pkl": _nvlabs(nvlabs_files.generator2(g, mean), None),
        "ada_classes.pkl": _nvlabs(
            nvlabs_files.generator2(classes[0], mean, attributes=False, conv_clamp=0.5),
            nvlabs_files.discriminator(classes[1], attributes=False, conv_clamp=0.25),
        ),
        "three_t.pkl": _nvlabs(nvlabs_files.generator3(g3["t"], mean), None),
        "three_r.pkl": _nvlabs(nvlabs_files.generator3(g3["r"], mean), None),
        "three_classes.pkl": _nvlabs(
            nvlabs_files.generator3(g3["classes"], mean, attributes=False, **_SETTINGS), None, protocol=2
        ),
    }
    for arch in ("skip", "resnet"):
        nets = tiny_networks(spec2(generator_arch=arch))
        with nvlabs_files.official_modules():
            found[f"tensorflow_{arch}.pkl"] = pickle.dumps(
                nvlabs_files.networks(*nets, mean), 2 if arch == "skip" else 4
            )
    return found


_SETTINGS = {"channel_base": 16, "channel_max": 2, "margin_size": 1, "filter_size": 2}


def _spec3(classes: int = 0, **settings: Any) -> Any:
    spec = tiny_spec3(8, classes, num_layers=3, **_SETTINGS, **settings)
    return replace(spec, z_dim=2, w_dim=W, num_mapping_layers=1)


def _own(g: GeneratorNet, d: Discriminator | None, mean: torch.Tensor) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        save_safetensors(path, g, d, FACTS, torch.float16, mean)
        return path.read_bytes()


def _nvlabs(g: Any, d: Any, protocol: int = 4) -> bytes:
    stream = io.BytesIO()
    with nvlabs_files.official_modules():
        pickle.dump(nvlabs_files.snapshot(g, d), stream, protocol)
    return stream.getvalue()
