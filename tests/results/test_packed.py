"""What is written is what the library writes, byte for byte."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from torch import Tensor

from bozzetto.results.packed import packed


def some(dtype: torch.dtype, *shape: int) -> Tensor:
    values = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(len(shape)))
    return values.to(dtype)


KINDS = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
MANY = {f"{kind} {len(shape)}": some(kind, *shape) for kind in KINDS for shape in ((3,), (2, 5))}
ODD = {"empty": torch.zeros(0, 3), "ö.é": torch.ones(3)}


@pytest.mark.parametrize("metadata", [None, {"facts": '{"title": "Kätzchen"}'}])
@pytest.mark.parametrize("tensors", [{}, {"a": torch.tensor(2.5)}, ODD, MANY])
def test_the_bytes_are_the_library_s(tensors: dict[str, Tensor], metadata: dict[str, str] | None) -> None:
    assert bytes(packed(tensors, metadata)) == safetensors.torch.save(tensors, metadata)


def test_layouts_and_shared_memory_come_back_as_they_are() -> None:
    base = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    tensors = {"whole": base, "part": base[1], "again": base, "turned": base.transpose(1, 2)}
    found = safetensors.torch.load(bytes(packed(tensors)))
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_other_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="complex64"):
        packed({"c": torch.zeros(1, dtype=torch.complex64)})
