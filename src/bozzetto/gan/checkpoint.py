"""Our own generator file: safetensors whose tensors carry the rosinality names and whose metadata tell the shape.
What those names cannot say is stored as `own_format.py` describes.

Metadata (all text): format = "rosinality", channels = JSON table resolution -> channels, style_dim, n_mlp; optionally
z_dim, discriminator_channels (JSON), generator_arch, discriminator_arch, mapping_lr_multiplier, and what is known of
the generator: name, category, licence, images_seen. Tensors: `g_ema.*`, `d.*` where the discriminator is in, `w_avg`
where a mean latent is.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bozzetto.disk import UNREADABLE, clear, put_in_place
from bozzetto.disk import temporary as temporary_name
from bozzetto.errors import CheckpointError, OutputError
from bozzetto.gan import names, own_format
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.protocol import GeneratorNet
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator

Net = TypeVar("Net", Generator, Discriminator)
MAX_HEADER_BYTES = 10_000_000  # a StyleGAN2 of 1024 px needs about 30 kB


@dataclass(frozen=True)
class LoadedGan:
    """Networks read from a file, and what the file says about itself."""

    generator: GeneratorNet
    discriminator: Discriminator | None
    facts: Mapping[str, str] = field(default_factory=dict)  # name, category, licence, ... where stated
    w_avg: Float[Tensor, " w"] | None = None  # the mean latent that truncation pulls to, where the file stores one


def is_safetensors(head: bytes) -> bool:
    """True for the first bytes of a safetensors file: a header length, then JSON."""
    return len(head) >= 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 2**40


def load_safetensors(path: Path) -> LoadedGan:
    """Read our format strictly. Raises CheckpointError with one sentence for anything that is not exactly right."""
    facts, tensors = read_tensors(path)
    w_avg = tensors.pop("w_avg", None)
    if facts.get("format") in own_format.KINDS:
        nets = own_format.networks_of(facts, tensors, path.name)
        return LoadedGan(*nets, facts, mean_latent(w_avg, nets[0].spec.w_dim, path.name))
    spec = _spec_from(facts, path)
    parts: dict[str, dict[str, Tensor]] = {"g_ema": {}, "d": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        if part not in parts or not name:
            raise CheckpointError(f"The file {path.name} has a tensor nobody asked for, '{one_line(key, 80)}'.")
        parts[part][name] = tensor
    loaded = networks_from_rosinality(spec, parts["g_ema"], parts["d"] or None, facts)
    return replace(loaded, w_avg=mean_latent(w_avg, spec.w_dim, path.name))


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
    generator: GeneratorNet,
    discriminator: Discriminator | None,
    facts: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
    w_avg: Float[Tensor, " w"] | None = None,
) -> None:
    """Write our format; the file appears whole or not at all. What would overflow `dtype` is stored as float32.

    Raises OutputError where it cannot be written.
    """
    spec = _common_spec(generator, discriminator)
    if spec is not None and _says_all_of(_metadata_of(spec), spec, path):
        metadata, exact = _metadata_of(spec), set()
        tensors = _renamed("g_ema", generator, names.generator_rows(spec))
        if discriminator is not None:
            tensors |= _renamed("d", discriminator, names.discriminator_rows(spec))
    else:
        metadata, exact = own_format.metadata_of(generator, discriminator), own_format.exact_names(generator)
        tensors = own_format.tensors_of(generator, discriminator)
    if w_avg is not None:
        tensors["w_avg"] = w_avg
        exact.add("w_avg")
    tensors = {k: _stored(v, torch.float32 if k in exact else dtype) for k, v in tensors.items()}
    write_safetensors(path, tensors, dict(facts) | metadata)


def _renamed(part: str, net: nn.Module, rows: Iterator[names.Row]) -> dict[str, Tensor]:
    return {f"{part}.{name}": tensor for name, tensor in names.from_ours(net.state_dict(), rows).items()}


def _common_spec(generator: GeneratorNet, discriminator: Discriminator | None) -> StyleGan2Spec | None:
    """One spec for both networks of a StyleGAN2; None where there cannot be one."""
    spec = generator.spec
    if discriminator is None or not isinstance(spec, StyleGan2Spec):
        return spec if isinstance(spec, StyleGan2Spec) else None
    d_spec = discriminator.spec
    spec = replace(spec, discriminator_arch=d_spec.discriminator_arch, discriminator_channels=d_spec.channels_d)
    return replace(
        spec,
        discriminator_conv_clamp=d_spec.discriminator_conv_clamp,
        mbstd_channels=d_spec.mbstd_channels,
        num_classes=max(spec.num_classes, d_spec.num_classes),
    )


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """The file appears whole or not at all. Raises OutputError where it cannot be written."""
    temporary = temporary_name(path)
    try:
        # Not by the library's own writer: after a kill nobody would know its temporary files as ours.
        temporary.write_bytes(save(tensors, metadata))
        put_in_place(temporary, path)
    except (SafetensorError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path} cannot be written ({reason}); free some space or choose another place.") from error
    finally:
        clear([temporary])


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


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file. Raises CheckpointError with one sentence."""
    facts = read_metadata(path)
    try:
        return facts, load_file(path, device="cpu")
    except UNREADABLE as error:
        raise CheckpointError(
            f"The file {path.name} is damaged or not whole ({one_line(error)}); get it again."
        ) from None


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of its own on the CPU, of `dtype` unless a value would become infinite."""
    exact = tensor.detach().cpu().float()
    rounded = exact.to(dtype)
    return (rounded if bool(rounded.isfinite().all()) else exact).contiguous().clone()


def _metadata_of(spec: StyleGan2Spec) -> dict[str, str]:
    return {
        "format": "rosinality",
        "channels": _table(spec.channels),
        "discriminator_channels": _table(spec.channels_d),
        "style_dim": str(spec.w_dim),
        "z_dim": str(spec.z_dim),
        "n_mlp": str(spec.num_mapping_layers),
        "mapping_lr_multiplier": repr(float(spec.mapping_lr_multiplier)),
        "generator_arch": spec.generator_arch,
        "discriminator_arch": spec.discriminator_arch,
    }


def _says_all_of(metadata: Mapping[str, str], spec: StyleGan2Spec, path: Path) -> bool:
    """Whether the same networks come back; what only matters in training is not stored."""
    back = _spec_from(metadata, path)
    return back == replace(
        spec, mbstd_group=back.mbstd_group, discriminator_channels=back.discriminator_channels
    ) and dict(back.channels_d) == dict(spec.channels_d)


def _table(channels: Mapping[int, int]) -> str:
    return json.dumps({str(k): v for k, v in channels.items()})


def _spec_from(facts: Mapping[str, str], path: Path) -> StyleGan2Spec:
    if facts.get("format") != "rosinality":
        raise CheckpointError(
            f"The file {path.name} is not a generator of ours: its metadata lack format = 'rosinality'."
        )
    try:
        tables = [
            {int(k): int(v) for k, v in json.loads(text).items()}
            for text in (facts["channels"], facts.get("discriminator_channels", facts["channels"]))
        ]
        w_dim, layers = int(facts["style_dim"]), int(facts["n_mlp"])
        z_dim = int(facts.get("z_dim", w_dim))
        lr_multiplier = float(facts.get("mapping_lr_multiplier", 0.01))
        archs = facts.get("generator_arch", "skip"), facts.get("discriminator_arch", "resnet")
        resolution = max(tables[0])
        if not 0 < lr_multiplier < 1e6 or any(arch not in ("skip", "resnet", "orig") for arch in archs):
            raise ValueError
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise CheckpointError(
            f"The file {path.name} does not state its channels, style_dim and n_mlp in a form that can be read."
        ) from None
    return StyleGan2Spec(
        resolution,
        tables[0],
        z_dim=z_dim,
        w_dim=w_dim,
        num_mapping_layers=layers,
        mapping_lr_multiplier=lr_multiplier,
        generator_arch=archs[0],  # type: ignore[arg-type]
        discriminator_arch=archs[1],  # type: ignore[arg-type]
        discriminator_channels=tables[1] if tables[1] != tables[0] else None,
    )


def mean_latent(tensor: Tensor | None, w_dim: int, file: str) -> Float[Tensor, " w"] | None:
    """The mean latent that a file stores, float32; None where it stores none. Raises CheckpointError."""
    if tensor is None:
        return None
    if tuple(tensor.shape) != (w_dim,) or not names.all_finite(tensor):
        raise CheckpointError(f"The file {file} stores a mean latent (w_avg) of other than {w_dim} numbers.")
    return tensor.float()


def _filled(kind: Callable[[StyleGan2Spec], Net], spec: StyleGan2Spec, state: dict[str, Tensor]) -> Net:
    with torch.device("meta"):  # it gets the file's own
        net = kind(spec)
    net.load_state_dict(state, strict=True, assign=True)
    return net
