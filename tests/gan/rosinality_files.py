"""Files as rosinality's programs write them, made of our own tiny networks."""

from __future__ import annotations

import argparse
import io
from typing import Any

import torch
from tiny_gan import tiny_networks, tiny_spec
from torch import Tensor

from bozzetto.gan import names, ops
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator

State = dict[str, Tensor]


def states(spec: StyleGan2Spec | None = None, seed: int = 3) -> tuple[State, State]:
    """State dicts of a generator and a discriminator under their names, blur kernels included."""
    spec = spec or tiny_spec()
    g, d = tiny_networks(spec, seed)
    return (
        _state(g, names.generator_rows(spec), names.generator_constants(spec)),
        _state(d, names.discriminator_rows(spec), names.discriminator_constants(spec)),
    )


def _state(net: Generator | Discriminator, rows: Any, constants: Any) -> State:
    state = {name: tensor.detach().clone() for name, tensor in names.from_ours(net.state_dict(), rows).items()}
    return state | {constant.theirs: ops.blur_kernel(constant.gain) for constant in constants}


def converted(spec: StyleGan2Spec | None = None) -> dict[str, Any]:
    """What convert_weight.py saves with --gen and --disc."""
    g, d = states(spec)
    return {"g_ema": g, "latent_avg": torch.linspace(-1, 1, 8), "g": g, "d": d}


def trained(spec: StyleGan2Spec | None = None) -> dict[str, Any]:
    """What train.py saves."""
    spec = spec or tiny_spec()
    g_ema, d = states(spec)
    g, _ = states(spec, seed=4)
    nets = tiny_networks(spec)
    optimisers = [torch.optim.Adam(net.parameters(), lr=0.002, betas=(0.0, 0.99)) for net in nets]
    for net, optimiser in zip(nets, optimisers, strict=True):
        sum((parameter**2).sum() for parameter in net.parameters()).backward()  # type: ignore[union-attr]
        optimiser.step()
    args = argparse.Namespace(
        path="data", arch="stylegan2", iter=800000, batch=16, size=spec.resolution, r1=10, lr=0.002,
        channel_multiplier=2, latent=spec.w_dim, n_mlp=spec.num_mapping_layers, distributed=False, ckpt=None,
    )  # fmt: skip
    g_optim, d_optim = (optimiser.state_dict() for optimiser in optimisers)
    parts = {"g": g, "d": d, "g_ema": g_ema, "g_optim": g_optim, "d_optim": d_optim, "args": args}
    return parts | {"ada_aug_p": 0.25}


def written(value: object, legacy: bool = False) -> bytes:
    """The file's bytes, as torch writes them now or did before 1.6."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()
