"""Our own generator file: safetensors whose tensors carry the rosinality names and whose metadata tell the shape.

Metadata (all text): format = "rosinality", channels = JSON table resolution -> channels, style_dim, n_mlp; optionally
z_dim, name, category, licence, images_seen. Tensors: `g_ema.*`, and `d.*` where the discriminator is in.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bozzetto.errors import CheckpointError, OutputError
from bozzetto.gan import names
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator

Net = TypeVar("Net", Generator, Discriminator)
MAX_HEADER_BYTES = 10_000_000  # a StyleGAN2 of 1024 px needs about 30 kB


@dataclass(frozen=True)
class LoadedGan:
    """Networks read from a file, and what the file says about itself."""

    generator: Generator
    discriminator: Discriminator | None
    facts: Mapping[str, str] = field(default_factory=dict)  # name, category, licence, ... where stated
    w_avg: Float[Tensor, " w"] | None = None  # the mean latent that truncation pulls to, where the file stores one


def is_safetensors(head: bytes) -> bool:
    """True for the first bytes of a safetensors file: a header length, then JSON."""
    return len(head) >= 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 2**40


def load_safetensors(path: Path) -> LoadedGan:
    """Read our format strictly. Raises CheckpointError with one sentence for anything that is not exactly right."""
    facts = read_metadata(path)
    try:
        tensors = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"The file {path.name} is damaged or not whole ({error}); get it again.") from None
    spec = _spec_from(facts, path)
    parts: dict[str, dict[str, Tensor]] = {"g_ema": {}, "d": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        if part not in parts or not name:
            raise CheckpointError(f"The file {path.name} has a tensor nobody asked for, '{key}'.")
        parts[part][name] = tensor
    return networks_from_rosinality(spec, parts["g_ema"], parts["d"] or None, facts)


def networks_from_rosinality(
    spec: StyleGan2Spec, g: dict[str, Tensor], d: dict[str, Tensor] | None, facts: Mapping[str, str]
) -> LoadedGan:
    """Networks from tensors under rosinality names, every one of them accounted for."""
    state = names.to_ours(g, names.generator_rows(spec), names.generator_constants(spec), "generator")
    generator = _filled(Generator, spec, state)
    if d is None:
        return LoadedGan(generator, None, facts)
    state = names.to_ours(d, names.discriminator_rows(spec), names.discriminator_constants(spec), "discriminator")
    return LoadedGan(generator, _filled(Discriminator, spec, state), facts)


def save_safetensors(
    path: Path,
    generator: Generator,
    discriminator: Discriminator | None,
    facts: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write our format (skip generator, residual discriminator only); the file appears whole or not at all."""
    spec = generator.spec
    if spec.generator_arch != "skip" or (discriminator is not None and discriminator.arch != "resnet"):
        raise OutputError("Only the skip generator and the residual discriminator can be written to this format.")
    if discriminator is not None and dict(discriminator.spec.channels_d) != dict(spec.channels):
        raise OutputError("Both networks must have the same channels to be written to this format.")
    tensors = {f"g_ema.{k}": v for k, v in names.from_ours(generator.state_dict(), names.generator_rows(spec)).items()}
    if discriminator is not None:
        rows = names.discriminator_rows(spec)
        tensors |= {f"d.{k}": v for k, v in names.from_ours(discriminator.state_dict(), rows).items()}
    metadata = dict(facts) | {
        "format": "rosinality",
        "channels": json.dumps({str(k): v for k, v in spec.channels.items()}),
        "style_dim": str(spec.w_dim),
        "z_dim": str(spec.z_dim),
        "n_mlp": str(spec.num_mapping_layers),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file({k: v.detach().cpu().to(dtype).contiguous() for k, v in tensors.items()}, temporary, metadata)
        os.replace(temporary, path)
    except (SafetensorError, OSError) as error:
        raise OutputError(f"The generator cannot be written to {path} ({error}).") from None
    finally:
        temporary.unlink(missing_ok=True)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, read without trusting its lengths."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointError(f"The file {path.name} states a header longer than itself or than any real one.")
            header = json.loads(file.read(length))
    except (OSError, ValueError, RecursionError, struct.error):
        raise CheckpointError(
            f"The file {path.name} is not a safetensors file; check that it is the right one."
        ) from None
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"The file {path.name} has metadata that are not text; it is not a generator of ours.")
    return metadata


def _spec_from(facts: Mapping[str, str], path: Path) -> StyleGan2Spec:
    if facts.get("format") != "rosinality":
        raise CheckpointError(
            f"The file {path.name} is not a generator of ours: its metadata lack format = 'rosinality'."
        )
    try:
        channels = {int(k): int(v) for k, v in json.loads(facts["channels"]).items()}
        w_dim, layers = int(facts["style_dim"]), int(facts["n_mlp"])
        z_dim = int(facts.get("z_dim", w_dim))
        resolution = max(channels)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise CheckpointError(
            f"The file {path.name} does not state its channels, style_dim and n_mlp in a form that can be read."
        ) from None
    return StyleGan2Spec(resolution, channels, z_dim=z_dim, w_dim=w_dim, num_mapping_layers=layers)


def _filled(kind: Callable[[StyleGan2Spec], Net], spec: StyleGan2Spec, state: dict[str, Tensor]) -> Net:
    net = kind(spec)
    net.load_state_dict(state, strict=True, assign=True)
    return net
