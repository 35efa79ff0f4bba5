"""The one table between the rosinality names of StyleGAN2's tensors and ours. Strict: every tensor is accounted for.

Intended differences, all checked: our shapes drop the leading 1 of convolution weights and the extra axes of the RGB
bias; the blur kernels that file may carry are constants of the architecture, so they are compared, not loaded.

Rosinality's networks are the skip generator and the residual discriminator. For the other published architectures the
same names go on, as far as they have the layers, with `skips.*` for a residual generator's 1x1 convolutions and
`from_rgbs.*` for a skip discriminator's further inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from bozzetto.errors import CheckpointError
from bozzetto.gan import ops
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.spec import StyleGan2Spec

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
REPEATED_BYTES = 4_000_000  # that may be shared between tensors of a file, such as filters


class Row(NamedTuple):
    """One tensor under both names."""

    theirs: str
    ours: str
    shape: tuple[int, ...]  # theirs


class Constant(NamedTuple):
    """A blur kernel that a file may carry: it has to be the [1, 3, 3, 1] filter of this gain."""

    theirs: str
    gain: float


def _linear(theirs: str, ours: str, outputs: int, inputs: int) -> Iterator[Row]:
    yield Row(f"{theirs}.weight", f"{ours}.weight", (outputs, inputs))
    yield Row(f"{theirs}.bias", f"{ours}.bias", (outputs,))


def _styled_conv(theirs: str, ours: str, cout: int, cin: int, w_dim: int) -> Iterator[Row]:
    yield Row(f"{theirs}.conv.weight", f"{ours}.weight", (1, cout, cin, 3, 3))
    yield from _linear(f"{theirs}.conv.modulation", f"{ours}.style", cin, w_dim)
    yield Row(f"{theirs}.noise.weight", f"{ours}.noise_strength", (1,))
    yield Row(f"{theirs}.activate.bias", f"{ours}.bias", (cout,))


def _to_rgb(theirs: str, ours: str, cin: int, w_dim: int) -> Iterator[Row]:
    yield Row(f"{theirs}.conv.weight", f"{ours}.weight", (1, 3, cin, 1, 1))
    yield from _linear(f"{theirs}.conv.modulation", f"{ours}.style", cin, w_dim)
    yield Row(f"{theirs}.bias", f"{ours}.bias", (1, 3, 1, 1))


def generator_rows(spec: StyleGan2Spec) -> Iterator[Row]:
    """Generator tensors (of `g_ema` or `g`, without that prefix)."""
    c, d, arch = spec.channels, spec.w_dim, spec.generator_arch
    for i in range(spec.num_mapping_layers):
        yield from _linear(f"style.{i + 1}", f"mapping.layers.{i}", d, spec.z_dim if i == 0 else d)
    yield Row("input.input", "synthesis.const", (1, c[4], 4, 4))
    yield from _styled_conv("conv1", "synthesis.layers.0", c[4], c[4], d)
    if arch == "skip":
        yield from _to_rgb("to_rgb1", "synthesis.to_rgb.4", c[4], d)
    yield Row("noises.noise_0", "synthesis.layers.0.noise", (1, 1, 4, 4))
    for i, size in enumerate(spec.resolutions[1:]):
        up, same = 2 * i, 2 * i + 1
        yield from _styled_conv(f"convs.{up}", f"synthesis.layers.{up + 1}", c[size], c[size // 2], d)
        yield from _styled_conv(f"convs.{same}", f"synthesis.layers.{same + 1}", c[size], c[size], d)
        if arch == "skip" or size == spec.resolution:
            yield from _to_rgb(f"to_rgbs.{i}", f"synthesis.to_rgb.{size}", c[size], d)
        if arch == "resnet":
            yield Row(f"skips.{i}.weight", f"synthesis.residual.{size}", (c[size], c[size // 2], 1, 1))
        for layer in (up + 1, same + 1):
            yield Row(f"noises.noise_{layer}", f"synthesis.layers.{layer}.noise", (1, 1, size, size))


def discriminator_rows(spec: StyleGan2Spec) -> Iterator[Row]:
    """Discriminator tensors (of `d`, without that prefix)."""
    c, sizes, arch = spec.channels_d, spec.resolutions[::-1], spec.discriminator_arch
    for i, size in enumerate(sizes if arch == "skip" else sizes[:1]):
        theirs, ours = f"from_rgbs.{i}" if i else "convs.0", f"from_rgb.{size}"
        yield Row(f"{theirs}.0.weight", f"{ours}.weight", (c[size], 3, 1, 1))
        yield Row(f"{theirs}.1.bias", f"{ours}.bias", (c[size],))
    for i, size in enumerate(sizes[:-1]):
        cin, cout = c[size], c[size // 2]
        theirs, ours = f"convs.{i + 1}", f"blocks.{i}"
        yield Row(f"{theirs}.conv1.0.weight", f"{ours}.conv1.weight", (cin, cin, 3, 3))
        yield Row(f"{theirs}.conv1.1.bias", f"{ours}.conv1.bias", (cin,))
        yield Row(f"{theirs}.conv2.1.weight", f"{ours}.conv2.weight", (cout, cin, 3, 3))
        yield Row(f"{theirs}.conv2.2.bias", f"{ours}.conv2.bias", (cout,))
        if arch == "resnet":
            yield Row(f"{theirs}.skip.1.weight", f"{ours}.skip.weight", (cout, cin, 1, 1))
    yield Row("final_conv.0.weight", "final_conv.weight", (c[4], c[4] + 1, 3, 3))
    yield Row("final_conv.1.bias", "final_conv.bias", (c[4],))
    yield from _linear("final_linear.0", "final_linear", c[4], c[4] * 16)
    yield from _linear("final_linear.1", "logit", 1, c[4])


def generator_constants(spec: StyleGan2Spec) -> Iterator[Constant]:
    for i in range(len(spec.resolutions) - 1):
        yield Constant(f"convs.{2 * i}.conv.blur.kernel", 4.0)
        yield Constant(f"to_rgbs.{i}.upsample.kernel", 4.0)


def discriminator_constants(spec: StyleGan2Spec) -> Iterator[Constant]:
    for i in range(1, len(spec.resolutions)):
        yield Constant(f"convs.{i}.conv2.0.kernel", 1.0)
        yield Constant(f"convs.{i}.skip.0.kernel", 1.0)


def to_ours(
    tensors: dict[str, Tensor], rows: Iterator[Row], constants: Iterator[Constant], what: str
) -> dict[str, Tensor]:
    """A state dict under our names, float32; raises CheckpointError for any tensor too many, too few or wrong."""
    refuse_repeated(tensors.values(), what)
    left, state = dict(tensors), {}
    for row in rows:
        tensor = left.pop(row.theirs, None)
        if tensor is None:
            raise CheckpointError(f"The {what} lacks the tensor '{row.theirs}'; the file is not a whole checkpoint.")
        if tuple(tensor.shape) != row.shape:
            raise CheckpointError(
                f"The {what}'s tensor '{row.theirs}' has shape {list(tensor.shape)} where {list(row.shape)} is needed; "
                "the file does not fit the channel table it states."
            )
        if not all_finite(tensor):
            raise CheckpointError(
                f"The {what}'s tensor '{row.theirs}' holds values that are not finite numbers; get the file again."
            )
        state[row.ours] = tensor.float().reshape(_our_shape(row))
    for constant in constants:
        kernel = left.pop(constant.theirs, None)
        if kernel is not None and (
            kernel.shape != (4, 4)
            or kernel.dtype not in FLOATS
            or (kernel.float() - ops.blur_kernel(constant.gain)).abs().max() > 1e-3
        ):
            raise CheckpointError(
                f"The {what}'s filter '{constant.theirs}' is not the [1, 3, 3, 1] filter this program is written for."
            )
    if left:
        raise CheckpointError(
            f"The {what} has a tensor nobody asked for, '{one_line(min(left), 80)}' ({len(left)} in all)."
        )
    return state


def from_ours(state: dict[str, Tensor], rows: Iterator[Row]) -> dict[str, Tensor]:
    """The inverse of `to_ours`: our state dict under the rosinality names and shapes."""
    return {row.theirs: state[row.ours].reshape(row.shape) for row in rows}


def all_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds finite numbers of a common floating-point type, and nothing else."""
    return tensor.dtype in FLOATS and bool(tensor.isfinite().all())


def refuse_repeated(tensors: Iterable[Tensor], what: str) -> None:
    """Refuse tensors that are many views of the same few numbers: each would become a copy of its own.

    Raises CheckpointError.
    """
    held: dict[int, int] = {}
    claimed = 0
    for tensor in tensors:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        claimed += tensor.numel() * tensor.element_size()
    if claimed > sum(held.values()) + REPEATED_BYTES:
        raise CheckpointError(f"The {what} holds the same numbers under many names; no checkpoint does.")


def _our_shape(row: Row) -> tuple[int, ...]:
    if row.ours.endswith("noise_strength"):
        return ()
    if row.ours.endswith(".noise"):
        return (1, 1, *row.shape[-2:])
    if row.ours == "synthesis.const":
        return row.shape[-3:]
    if len(row.shape) == 5:
        return row.shape[1:]
    if len(row.shape) == 4 and row.ours.endswith(".bias"):
        return (3,)
    return row.shape


def count(state: Mapping[str, Tensor], pattern: str, start: int = 0) -> int:
    """How many tensors are named by the pattern and start, start + 1, ... without a gap."""
    found = 0
    while pattern.format(start + found) in state:
        found += 1
    return found


def axis(state: Mapping[str, Tensor], name: str, index: int, file: str) -> int:
    """Length of one axis of a tensor. Raises CheckpointError where there is none."""
    if name not in state or state[name].ndim <= index:
        raise CheckpointError(f"The file {file} lacks the tensor '{name}', or it has too few axes.")
    return state[name].shape[index]
