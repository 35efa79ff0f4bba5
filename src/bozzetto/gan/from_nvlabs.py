"""NVIDIA's official checkpoints of StyleGAN2-ADA (PyTorch) and StyleGAN3, `.pkl`: {"G", "D", "G_ema", ...}, or one
generator alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan import names, names_nvlabs
from bozzetto.gan.checkpoint import LoadedGan, mean_latent
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.nvlabs_spec import default_clamp, discriminator_spec, spec2_of, spec3_of
from bozzetto.gan.own_format import built
from bozzetto.gan.persistent import Module, is_module, read_module
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.protocol import GanSpec, GeneratorNet
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.stylegan3 import Generator3

# Intended differences: what such a file may hold beside G_ema and D, and why it is not loaded.
NOT_LOADED = {
    "G": "the generator's weights before averaging; pictures come from G_ema",
    "training_set_kwargs": "where the training pictures were",
    "augment_pipe": "how training pictures were augmented",
}

State = dict[str, Tensor]


def is_nvlabs(value: object) -> bool:
    """True for the content of such a file."""
    return is_module(value) or (
        isinstance(value, dict) and any(is_module(value.get(key)) for key in ("G_ema", "G", "D"))
    )


def load_nvlabs(value: Any, file: str) -> LoadedGan:
    """Networks from the content of such a file (see `restricted_pickle`).

    Raises CheckpointError for a tensor too many, too few, of another shape or not finite, for settings that this
    program does not compute, and for anything not known.
    """
    parts = {"G_ema": value} if is_module(value) else value
    for key, part in parts.items():
        known = key in NOT_LOADED or key in ("G_ema", "D") or part is None or isinstance(part, str | int | float)
        if not known:
            raise CheckpointError(f"The file {file} holds '{one_line(key, 60)}', which no StyleGAN checkpoint has.")
    ema = parts.get("G") if parts.get("G_ema") is None else parts["G_ema"]
    if ema is None:
        raise CheckpointError(f"The file {file} holds a discriminator without its generator; use a full checkpoint.")
    g, facts = read_module(ema, file), {}
    d = None if parts.get("D") is None else read_module(parts["D"], file)
    if d is not None and d.class_name != "Discriminator":
        facts["discriminator"] = f"of a kind that is not known ({one_line(d.class_name, 60)}); not loaded"
        d = None
    if g.class_name != "Generator":
        raise CheckpointError(f"The file {file} holds a {one_line(g.class_name, 60)}, which no StyleGAN2 or 3 has.")
    return networks_of(g, d, facts, file)


def networks_of(
    g: Module, d: Module | None, facts: dict[str, str], file: str, demodulates_stored_weight: bool = True
) -> LoadedGan:
    """The networks of these records. facts: what is to be said of the file; more may come in."""
    tensors = g.flat()
    w_avg = tensors.pop(names_nvlabs.W_AVG, None)
    generator: GeneratorNet
    if "synthesis.input.freqs" in tensors:
        spec3 = spec3_of(g, file)
        state = names.to_ours(tensors, names_nvlabs.generator3_rows(spec3), iter(()), "generator")
        generator = built(Generator3, spec3, state, file)
    else:
        spec = replace(spec2_of(g, file), demodulates_stored_weight=demodulates_stored_weight)
        generator = _generator2(spec, tensors, facts, file)
    discriminator = None
    if d is not None:
        d_spec = discriminator_spec(d, default_clamp(g), file)
        discriminator = _discriminator(d_spec, d.flat(), generator.spec, file)
    return LoadedGan(generator, discriminator, facts, mean_latent(w_avg, generator.spec.w_dim, file))


def _generator2(spec: StyleGan2Spec, tensors: State, facts: dict[str, str], file: str) -> Generator:
    """A StyleGAN2 generator; facts are told if it was made without noise."""
    rows = list(names_nvlabs.generator_rows(spec))
    if not any(name.endswith(("noise_const", "noise_strength")) for name in tensors):
        noise = [row for row in rows if row.theirs.endswith(("noise_const", "noise_strength"))]
        tensors = tensors | {row.theirs: torch.zeros(row.shape) for row in noise}
        facts["noise"] = "none; zero"
    state = names.to_ours(tensors, iter(rows), names_nvlabs.generator_constants(spec), "generator")
    return built(Generator, spec, state, file)


def _discriminator(spec: StyleGan2Spec, tensors: State, g_spec: GanSpec, file: str) -> Discriminator:
    """A discriminator that fits the generator."""
    if spec.resolution != g_spec.resolution or spec.num_classes != g_spec.num_classes:
        raise CheckpointError(
            f"The file {file} holds a generator of {g_spec.resolution} pixels and {g_spec.num_classes} classes and a "
            f"discriminator of {spec.resolution} and {spec.num_classes}."
        )
    rows, constants = names_nvlabs.discriminator_rows(spec), names_nvlabs.discriminator_constants(spec)
    return built(Discriminator, spec, names.to_ours(tensors, rows, constants, "discriminator"), file)
