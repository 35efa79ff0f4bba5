"""Our functions for the few names that a pickle may have called: containers, torch tensors, numpy arrays.

None of them is the function of that name. Each takes plain values, checks every number, and makes plain data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bozzetto.gan.pickle_machine import Rebuilders
from bozzetto.gan.pickle_records import Global, Limits, Stub, Unfinished, hashable

MAX_DIMENSIONS = 16
STORAGE_TYPES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_NUMPY_CODE = re.compile(r"b1|[iu][1248]|f[248]")


@dataclass(eq=False)
class Storage:
    """A row of numbers that tensors are views of."""

    values: Tensor  # [n]


def storage_from_bytes(data: bytes | bytearray, dtype: torch.dtype, limits: Limits) -> Storage:
    """The numbers in little-endian bytes. ValueError where their count is not whole."""
    limits.spend(len(data))
    if len(data) % dtype.itemsize:
        raise ValueError("a storage of half a number")
    if not data:
        return Storage(torch.empty(0, dtype=dtype))
    if dtype is torch.bool:  # a byte that is neither 0 nor 1 is no bool
        return Storage(torch.frombuffer(bytearray(data), dtype=torch.uint8) != 0)
    return Storage(torch.frombuffer(bytearray(data), dtype=dtype))


def storage_dtype(kind: object) -> torch.dtype:
    """The number type of a storage class's name."""
    if isinstance(kind, Global) and kind.module in ("torch", "torch.cuda", "torch.storage"):
        dtype = STORAGE_TYPES.get(kind.name)
        if dtype is not None:
            return dtype
    raise TypeError("a storage of a kind that is not known")


# -- torch -----------------------------------------------------------------------------------------------------------


def _whole(numbers: object) -> list[int]:
    if not isinstance(numbers, tuple | list) or len(numbers) > MAX_DIMENSIONS:
        raise TypeError("a shape that is none")
    if not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
        raise ValueError("a shape of what are no counts")
    return list(numbers)


def strided_view(storage: object, offset: object, size: object, stride: object) -> Tensor:
    """The view of a storage, once it is certain that it lies inside and is no larger than what it looks at."""
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    sizes, strides, (start,) = _whole(size), _whole(stride), _whole([offset])
    if len(sizes) != len(strides):
        raise ValueError("a tensor whose strides do not fit its shape")
    count, length = math.prod(sizes), storage.values.numel()
    last = start + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True)) if count else start - 1
    if last >= length or start > length or count > length:
        raise ValueError("a tensor that reaches beyond its storage")
    return storage.values.as_strided(sizes, strides, start)


def _tensor(limits: Limits, args: tuple[Any, ...]) -> Tensor:
    if not 4 <= len(args) <= 7:  # then requires_grad, hooks, metadata: of no use to frozen data
        raise TypeError("a tensor of other arguments")
    return strided_view(*args[:4])


def _parameter(limits: Limits, args: tuple[Any, ...]) -> Tensor:
    if not args or not isinstance(args[0], Tensor):
        raise TypeError("a parameter that is no tensor")
    return args[0]


def _tensor_of_type(limits: Limits, args: tuple[Any, ...]) -> Tensor:
    """A tensor that had attributes of its own: function, type, arguments, attributes. Only the numbers are kept."""
    function, _, inner, _ = args
    if function == Global("torch._utils", "_rebuild_tensor_v2"):
        return _tensor(limits, inner)
    if function == Global("torch._utils", "_rebuild_parameter"):
        return _parameter(limits, inner)
    raise limits.refusal("holds tensors of a kind that no generator has")


def _size(limits: Limits, args: tuple[Any, ...]) -> tuple[int, ...]:
    (numbers,) = args
    return tuple(_whole(numbers))


# -- numpy -----------------------------------------------------------------------------------------------------------


class _Dtype(Unfinished):
    """numpy.dtype(code, align, copy); its byte order comes with BUILD."""

    def __init__(self, code: str) -> None:
        self.code = code

    def finish(self, state: object) -> np.dtype:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("an array of numbers of no known order")
        return np.dtype(("<" if state[1] == "=" else state[1]) + self.code)


class _Array(Unfinished):
    """What numpy makes before BUILD gives it its content: (version, shape, dtype, column order, bytes)."""

    def finish(self, state: object) -> np.ndarray:
        if not isinstance(state, tuple) or len(state) != 5:
            raise TypeError("an array of other content")
        _, shape, dtype, fortran, data = state
        return _array(self.limits, data, dtype, shape, bool(fortran))

    def __init__(self, limits: Limits) -> None:
        self.limits = limits


def _array(limits: Limits, data: object, dtype: object, shape: object, fortran: bool) -> np.ndarray:
    if isinstance(data, str):  # Python 2's text was bytes
        data = data.encode("latin1")
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes | bytearray):
        raise TypeError("an array of other than numbers")
    sizes = _whole(shape)
    limits.spend(len(data))
    if math.prod(sizes) * dtype.itemsize != len(data):
        raise ValueError("an array whose bytes do not fit its shape")
    return np.frombuffer(bytearray(data), dtype).reshape(sizes, order="F" if fortran else "C")


def _dtype(limits: Limits, args: tuple[Any, ...]) -> _Dtype:
    if not args or not isinstance(args[0], str) or not _NUMPY_CODE.fullmatch(args[0]):
        raise TypeError("an array of other than numbers")
    return _Dtype(args[0])


def _reconstruct(limits: Limits, args: tuple[Any, ...]) -> _Array:
    if not args or args[0] not in (Global("numpy", "ndarray"), Global("numpy.core.multiarray", "ndarray")):
        raise TypeError("an array of a kind of its own")
    return _Array(limits)


def _from_buffer(limits: Limits, args: tuple[Any, ...]) -> np.ndarray:
    data, dtype, shape, order = args
    return _array(limits, data, dtype, shape, order == "F")


def _scalar(limits: Limits, args: tuple[Any, ...]) -> int | float | bool:
    dtype, data = args
    return _array(limits, data, dtype, (1,), False)[0].item()


# -- Python ----------------------------------------------------------------------------------------------------------


def _encode(limits: Limits, args: tuple[Any, ...]) -> bytes:
    """Bytes as protocols before 3 spell them."""
    text, codec = args
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise TypeError("text in an encoding that bytes do not come in")
    limits.spend(len(text))
    return text.encode("latin1")


def _empty_bytes(limits: Limits, args: tuple[Any, ...]) -> bytes:
    if args:
        raise TypeError("bytes of something")
    return b""


def _ordered_dict(limits: Limits, args: tuple[Any, ...]) -> dict[Any, Any]:
    pairs: Sequence[Any] = args[0] if args else ()
    if not isinstance(pairs, list | tuple) or len(args) > 1:
        raise TypeError("a mapping of other than pairs")
    limits.spend(8 * len(pairs))
    return {hashable(key): value for key, value in pairs}


def _default_dict(limits: Limits, args: tuple[Any, ...]) -> dict[Any, Any]:
    return {}  # its entries follow; what it would make of missing ones does not matter


def _set(limits: Limits, args: tuple[Any, ...]) -> set[Any]:
    (items,) = args
    if not isinstance(items, list):
        raise TypeError("a set of other than a list")
    limits.spend(8 * len(items))
    return {hashable(item) for item in items}


def _object(limits: Limits, args: tuple[Any, ...]) -> object:
    """copyreg._reconstructor(class, base, state): how protocols before 2 spell a plain object."""
    kind, base, state = args
    if not isinstance(kind, Global) or not isinstance(base, Global):
        raise TypeError("an object of no class")
    return Stub(kind.module, kind.name, () if state is None else (state,))


REBUILDERS: Rebuilders = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("collections", "defaultdict"): _default_dict,
    ("_codecs", "encode"): _encode,
    **{(module, "set"): _set for module in ("builtins", "__builtin__")},
    **{(module, "bytes"): _empty_bytes for module in ("builtins", "__builtin__")},
    **{(module, "_reconstructor"): _object for module in ("copyreg", "copy_reg")},
    ("torch", "Size"): _size,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _tensor_of_type,
    ("numpy", "dtype"): _dtype,
    **{
        (f"{core}.{name}", function): rebuild
        for core in ("numpy.core", "numpy._core")
        for name, function, rebuild in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
