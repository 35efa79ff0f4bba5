"""The two containers of torch.save, read by the pickle machine: a zip of a pickle and storages (since torch 1.6), and
before that several pickles in a row with the storages behind them. The same files, as bytes, hold a single storage
where a tensor was pickled without torch.save; there they may hold nothing else and no further file.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import torch

from bozzetto.gan.pickle_machine import Machine, Rebuilders
from bozzetto.gan.pickle_rebuild import REBUILDERS, Storage, storage_dtype, storage_from_bytes
from bozzetto.gan.pickle_records import Limits, Stream, one_line

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
ZIP_HEAD = b"PK\x03\x04"
MAX_ENTRIES = 100_000
MAX_PICKLE_BYTES = 200_000_000  # the pickle inside the zip: names and shapes, without the numbers

_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, OSError, EOFError),
    *(ValueError, LookupError, RuntimeError, OverflowError),
)


def rebuilders(nested: bool) -> Rebuilders:
    """The table for a file's own pickle, or for one inside the bytes of another, which may hold no further one."""
    return {**REBUILDERS, ("torch.storage", "_load_from_bytes"): _refuse_nested if nested else _nested_storage}


def read_stream(stream: Stream, size: int, limits: Limits, nested: bool = False) -> object:
    """What a pickle or a torch.save file holds; the stream is at its beginning and `size` bytes long."""
    if stream.read(4) == ZIP_HEAD:
        stream.seek(0)
        return read_zip(stream, size, limits, nested)
    stream.seek(0)
    value = Machine(limits, rebuilders(nested)).run(stream)
    if type(value) is int and value == LEGACY_MAGIC:
        value = _read_legacy(stream, size, limits, nested)
    if stream.read(1):
        raise limits.refusal("goes on after its end")
    return value


def _nested_storage(limits: Limits, args: tuple[Any, ...]) -> Storage:
    (data,) = args
    if not isinstance(data, bytes):
        raise TypeError("a storage that is no bytes")
    limits.spend(len(data))
    value = read_stream(io.BytesIO(data), len(data), limits, nested=True)
    if not isinstance(value, Storage):
        raise limits.refusal("hides something other than numbers inside the bytes of a tensor")
    return value


def _refuse_nested(limits: Limits, args: tuple[Any, ...]) -> object:
    raise limits.refusal("hides a file inside a file inside a file")


# -- zip -------------------------------------------------------------------------------------------------------------


def read_zip(stream: Stream, size: int, limits: Limits, nested: bool = False) -> object:
    """The pickle of a torch zip, its storages taken from the entries beside it."""
    try:
        with zipfile.ZipFile(stream) as archive:  # type: ignore[arg-type]
            entries = _entries(archive, size, limits)

            def entry(name: str) -> bytes:
                return archive.read(entries[name])

            if entries["data.pkl"].file_size > MAX_PICKLE_BYTES:
                raise limits.refusal("holds a pickle larger than any checkpoint's")
            if "byteorder" in entries and entry("byteorder") != b"little":
                raise limits.refusal("was written on a machine of the other byte order")
            storages: dict[str, Storage] = {}

            def persistent(reference: object) -> Storage:
                dtype, key, count = _reference(reference, limits)
                if key not in storages:
                    if entries[f"data/{key}"].file_size != count * dtype.itemsize:
                        raise ValueError("a storage of another length than stated")
                    storages[key] = storage_from_bytes(entry(f"data/{key}"), dtype, limits)
                return _of_type(storages[key], dtype, count)

            return Machine(limits, rebuilders(nested), persistent).run(io.BytesIO(entry("data.pkl")))
    except _ZIP_ERRORS as error:
        raise limits.refusal(f"is damaged or not whole ({one_line(error)})") from None


def _entries(archive: zipfile.ZipFile, size: int, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by their name in its folder."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    folder = names[0].partition("/")[0] if names else ""
    if not folder or f"{folder}/data.pkl" not in names:
        raise limits.refusal("is a zip, but not one that torch wrote (it lacks data.pkl)")
    if any(name.startswith((f"{folder}/code/", f"{folder}/constants.pkl")) for name in names):
        raise limits.refusal("is a TorchScript program and not a checkpoint; save its state_dict instead")
    if len(names) > MAX_ENTRIES or len(set(names)) != len(names):
        raise limits.refusal("is a zip with too many entries, or with two of one name")
    if any(not n.startswith(f"{folder}/") or "\\" in n or {"..", ".", ""} & set(n.split("/")) for n in names):
        raise limits.refusal("is a zip with entries outside of its folder")
    stored = all(i.compress_type == zipfile.ZIP_STORED and i.compress_size == i.file_size for i in infos)
    if not stored or any(i.flag_bits & 1 for i in infos):
        raise limits.refusal("is a zip that is compressed or encrypted, which torch's are not")
    if sum(i.file_size for i in infos) > size:
        raise limits.refusal("is a zip that unpacks to more than itself")
    return {name[len(folder) + 1 :]: info for name, info in zip(names, infos, strict=True)}


def _reference(reference: object, limits: Limits) -> tuple[torch.dtype, str, int]:
    """dtype, key and count of ("storage", class, key, place, count, None)."""
    if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
        raise TypeError("a reference to other than a storage")
    _, kind, key, _, count = reference[:5]
    if len(reference) == 6 and reference[5] is not None:
        raise limits.refusal("shares storages in a way that torch gave up in 2018")
    if not isinstance(key, str) or len(key) > 100 or type(count) is not int or not 0 <= count < 2**40:
        raise TypeError("a reference to other than a storage")
    return storage_dtype(kind), key, count


def _of_type(storage: Storage, dtype: torch.dtype, count: int) -> Storage:
    if storage.values.dtype != dtype or storage.values.numel() != count:
        raise ValueError("one storage of two types")
    return storage


# -- before torch 1.6 ------------------------------------------------------------------------------------------------


def _read_legacy(stream: Stream, size: int, limits: Limits, nested: bool) -> object:
    """Behind the magic number: protocol, system, the object, the storages' keys, then each one's count and bytes."""
    protocol, system = (Machine(limits, {}).run(stream) for _ in range(2))
    if protocol != LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise limits.refusal("is of a torch.save format that is not known, or of the other byte order")
    storages: dict[str, Storage] = {}

    def persistent(reference: object) -> object:
        if isinstance(reference, tuple) and len(reference) == 4 and reference[0] == "module":
            return reference[1]  # a class whose source text stands beside it: the name is enough
        dtype, key, count = _reference(reference, limits)
        if key not in storages:
            if count * dtype.itemsize > size:
                raise ValueError("a storage longer than the file")
            limits.spend(count * dtype.itemsize)
            storages[key] = Storage(torch.zeros(count, dtype=dtype))  # filled below
        return _of_type(storages[key], dtype, count)

    value = Machine(limits, rebuilders(nested), persistent).run(stream)
    keys = Machine(limits, {}).run(stream)
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys) or sorted(keys) != sorted(storages):
        raise limits.refusal("lists other storages than it uses")
    for key in keys:
        _fill(stream, storages[key], limits)
    return value


def _fill(stream: Stream, storage: Storage, limits: Limits) -> None:
    head = stream.read(8)
    count = struct.unpack("<q", head)[0] if len(head) == 8 else -1
    if count != storage.values.numel():
        raise limits.refusal("is not whole: a storage has another length than stated")
    length = count * storage.values.dtype.itemsize
    data = stream.read(length)
    if len(data) != length:
        raise limits.refusal("is not whole: it ends inside a storage")
    storage.values.copy_(storage_from_bytes(data, storage.values.dtype, limits).values)
