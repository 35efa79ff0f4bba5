"""What rosinality's names cannot say, in our safetensors: clamps, classes, StyleGAN3.

Metadata: format = "bozzetto-stylegan2" or "bozzetto-stylegan3", spec = JSON of the generator's spec (a record of
`spec.py` or `spec3.py`, all fields), discriminator_spec = JSON of the discriminator's, where there is one. Tensors:
`g.*` and `d.*` under the names of our modules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bozzetto.disk import DAMAGED
from bozzetto.errors import CheckpointError
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.names import FLOATS, all_finite
from bozzetto.gan.pickle_records import one_line
from bozzetto.gan.protocol import GeneratorNet
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.spec3 import LayerSpec, StyleGan3Spec
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.stylegan3 import Generator3

Net = TypeVar("Net", bound=nn.Module)


class Kind(NamedTuple):
    """A kind of generator."""

    spec: type
    generator: Callable[[Any], GeneratorNet]


# A further kind of generator is a further row.
KINDS: dict[str, Kind] = {
    "bozzetto-stylegan2": Kind(StyleGan2Spec, Generator),
    "bozzetto-stylegan3": Kind(StyleGan3Spec, Generator3),
}


def metadata_of(generator: GeneratorNet, discriminator: Discriminator | None) -> dict[str, str]:
    """What the file has to say for `networks_of` to build the same networks."""
    name = next(name for name, kind in KINDS.items() if isinstance(generator.spec, kind.spec))
    facts = {"format": name, "spec": json.dumps(asdict(generator.spec))}  # type: ignore[call-overload]
    if discriminator is not None:
        facts["discriminator_spec"] = json.dumps(asdict(discriminator.spec))
    return facts


def tensors_of(generator: GeneratorNet, discriminator: Discriminator | None) -> dict[str, Tensor]:
    """Every parameter and buffer, `g.*` and `d.*`."""
    tensors = {f"g.{name}": tensor for name, tensor in generator.state_dict().items()}
    if discriminator is not None:
        tensors |= {f"d.{name}": tensor for name, tensor in discriminator.state_dict().items()}
    return tensors


def exact_names(generator: GeneratorNet) -> set[str]:
    """Tensors that are kept in float32 whatever is asked for: filters, frequencies, running means."""
    return {f"g.{name}" for name, _ in generator.named_buffers() if not name.endswith(".noise")}


def networks_of(
    facts: Mapping[str, str], tensors: Mapping[str, Tensor], file: str
) -> tuple[GeneratorNet, Discriminator | None]:
    """Networks from metadata and tensors, every one of them accounted for. Raises CheckpointError."""
    kind = KINDS[facts["format"]]
    generator = built(kind.generator, read_spec(kind.spec, facts.get("spec"), file), _part(tensors, "g"), file)
    others = {name for name in tensors if not name.startswith(("g.", "d."))}
    state = _part(tensors, "d")
    if others or ("discriminator_spec" in facts) != bool(state):
        odd = min(others or {f"d.{name}" for name in state}, default="")
        raise CheckpointError(
            f"The file {file} has a tensor nobody asked for, '{one_line(odd, 80)}'."
            if others or state
            else f"The file {file} describes a discriminator and lacks its tensors."
        )
    if not state:
        return generator, None
    spec = read_spec(StyleGan2Spec, facts["discriminator_spec"], file)
    if spec.resolution != generator.spec.resolution or spec.num_classes != generator.spec.num_classes:
        raise CheckpointError(f"The generator and the discriminator in {file} are not of one size and classes.")
    return generator, built(Discriminator, spec, state, file)


def built(kind: Callable[[Any], Net], spec: object, state: Mapping[str, Tensor], file: str) -> Net:
    """The network of a spec, filled with exactly these tensors, in float32. Raises CheckpointError."""
    with torch.device("meta"):  # no memory for what a file only claims
        net = kind(spec)
    wanted = net.state_dict()
    for name in sorted(wanted.keys() | state.keys()):
        if name not in state or name not in wanted:
            what = "lacks the tensor" if name in wanted else "has a tensor nobody asked for,"
            raise CheckpointError(f"The file {file} {what} '{one_line(name, 80)}'.")
        tensor = state[name]
        if tensor.dtype not in FLOATS:
            raise CheckpointError(f"The tensor '{name}' in {file} is {tensor.dtype}; 16 to 64 bit numbers are needed.")
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"The tensor '{name}' in {file} has shape {list(tensor.shape)} where {list(wanted[name].shape)} is "
                "needed; the file does not fit what it says of itself."
            )
        if not all_finite(tensor):
            raise CheckpointError(f"The tensor '{name}' in {file} holds values that are not finite; get it again.")
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True, assign=True)
    return net


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name[len(part) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}


# -- specs as JSON -----------------------------------------------------------------------------------------------------


def read_spec(kind: type, text: str | None, file: str) -> Any:
    """A spec from its JSON, every field of its type. Raises CheckpointError."""
    try:
        return _record(kind, json.loads(text or ""))
    except DAMAGED:
        raise CheckpointError(
            f"The file {file} does not say what network it holds in a form that can be read."
        ) from None


def _record(kind: type, values: Any) -> Any:
    known = {field.name: str(field.type) for field in fields(kind)}
    if not isinstance(values, dict) or values.keys() - known:
        raise ValueError
    return kind(**{name: _READERS[known[name]](value) for name, value in values.items()})


def _exactly(*types: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in types or (type(value) is float and not math.isfinite(value)):
            raise ValueError
        return value

    return read


def _arch(value: Any) -> str:
    if value not in ("skip", "resnet", "orig"):
        raise ValueError
    return value


def _number(value: Any) -> float:
    return float(_exactly(int, float)(value))


def _table(value: Any) -> dict[int, int]:
    return {int(size): _exactly(int)(count) for size, count in value.items()}


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "int": _exactly(int),
    "bool": _exactly(bool),
    "float": _number,
    "int | None": _or_none(_exactly(int)),
    "float | None": _or_none(_number),
    "GeneratorArch": _arch,
    "DiscriminatorArch": _arch,
    "Mapping[int, int]": _table,
    "Mapping[int, int] | None": _or_none(_table),
    "tuple[LayerSpec, ...]": lambda rows: tuple(_record(LayerSpec, row) for row in rows),
}
