"""Files that are small and become large, deep or endless, and files that end early or point outside of themselves."""

from __future__ import annotations

import collections
import contextlib
import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from exploits import PROTO4, Call, by_name, called, text, torch_legacy, torch_zip

from bozzetto.errors import CheckpointError
from bozzetto.gan.restricted_pickle import Stub, read_pickle, read_pickle_bytes

GOOD = {"a": torch.arange(12.0).view(3, 4), "b": torch.arange(5), "c": ["x", (1, None)]}


def refused(data: bytes, match: str = ".", below_mb: int = 64) -> None:
    """Refused with one sentence, without much memory on the way."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=match) as caught:
            read_pickle_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < below_mb * 2**20 + 2 * len(data)
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# ---------------------------------------------------------------- deep, wide, endless


def doubled(times: int) -> bytes:
    """A list of twice a list of twice a list ...: 2^times items in a few bytes."""
    steps = (b"q%c0(h%ch%cl" % (i, i, i) for i in range(times))
    return PROTO4 + b"]K\1a" + b"".join(steps) + b"."


def test_shared_parts_that_multiply_are_refused() -> None:
    small = pickle.loads(doubled(10))
    assert str(small).count("1") == 2**10
    assert read_pickle_bytes(doubled(10)) == small
    for times in (25, 60, 90):
        refused(doubled(times), "too many times")


@pytest.mark.parametrize(
    ("head", "level", "tail"),
    [(b"", b"]", b"a"), (b"N", b"", b"\x85"), (b"", b"}K\1", b"s"), (b"", b"(", b"l"), (b"", b"(", b"t")],
    ids=["lists", "tuples", "dicts", "marked lists", "marked tuples"],
)
def test_deep_nesting_is_refused(head: bytes, level: bytes, tail: bytes) -> None:
    def nested(depth: int) -> bytes:
        inner = b"" if level.startswith(b"(") or not level else level.replace(b"K\1", b"")
        return PROTO4 + head + level * depth + inner + tail * depth + b"."

    pickle.loads(nested(90))
    read_pickle_bytes(nested(90))
    for depth in (200, 5_000):
        refused(nested(depth), "nested deeper|steps")


def test_a_deep_key_that_crashes_the_interpreter_is_refused() -> None:
    def key(depth: int) -> bytes:
        return PROTO4 + b"}N" + b"\x85" * depth + b"Ns."

    program = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    usual = subprocess.run([sys.executable, "-c", program], input=key(1_000_000), capture_output=True)
    assert usual.returncode < 0, "the interpreter did not crash"
    refused(key(50_000), "key")


@pytest.mark.parametrize("container", [b"]h\0a", b"}K\1h\0s", b"]h\0\x85a"])
def test_a_structure_that_contains_itself_is_refused(container: bytes) -> None:
    data = PROTO4 + container[:1] + b"q\0" + container[1:] + b"."
    pickle.loads(data)
    refused(data, "contains itself")


def test_a_stub_that_contains_itself_is_refused() -> None:
    refused(PROTO4 + by_name("some", "Class") + b")\x81q\0}X\1\0\0\0ah\0sb.", "contains itself")


@pytest.mark.parametrize("step", [b"(", b"2", b"N0", b"\x8f0"], ids=["marks", "stack", "steps", "sets"])
def test_endless_steps_are_refused(step: bytes) -> None:
    with pytest.raises(CheckpointError, match="steps"):
        read_pickle_bytes(PROTO4 + b"N" + step * 420_000 + b".")


def test_numbers_too_long_are_refused() -> None:
    refused(b"\x80\x02\x8b" + struct.pack("<i", 10_000) + b"\x7f" * 10_000 + b".", "too long")
    refused(b"I" + b"9" * 100_000 + b"\n.")
    refused(b"L" + b"9" * 100_000 + b"L\n.")
    refused(PROTO4 + b"}\x8a\x0a" + b"\x7f" * 10 + b"Ns.", "key")


@pytest.mark.parametrize(
    "claim",
    [
        b"\x8e" + struct.pack("<Q", 2**62),  # BINBYTES8
        b"\x8d" + struct.pack("<Q", 2**40),  # BINUNICODE8
        b"\x96" + struct.pack("<Q", 2**40),  # BYTEARRAY8
        b"\x96" + struct.pack("<Q", 2**64 - 1),
        b"B" + struct.pack("<I", 2**32 - 1),  # BINBYTES
        b"X" + struct.pack("<I", 2**31),  # BINUNICODE
        b"T" + struct.pack("<i", 2**31 - 1),  # BINSTRING
        b"T" + struct.pack("<i", -1),
        b"\x8b" + struct.pack("<i", 2**31 - 1),  # LONG4
        b"Nr" + struct.pack("<I", 2**32 - 1) + b"j" + struct.pack("<I", 1),  # a memo that claims to be long
    ],
)
def test_lengths_that_are_only_claimed_cost_nothing(tmp_path: Path, claim: bytes) -> None:
    data = b"\x80\x05" + claim + b"abc."
    refused(data, below_mb=1)
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckpointError):
        read_pickle(tmp_path / "x")


def test_calls_that_allocate_are_only_recorded() -> None:
    assert len(pickle.loads(pickle.dumps(Call(bytearray, 10**6)))) == 10**6
    for name in ("bytearray", "bytes"):
        data = PROTO4 + called(by_name("builtins", name), b"\x8a\x06" + (10**13).to_bytes(6, "little")) + b"."
        with contextlib.suppress(CheckpointError):
            assert isinstance(read_pickle_bytes(data), Stub)
    refused(PROTO4 + called(by_name("numpy.core.multiarray", "_reconstruct"), text("a")) + b".")


def test_copying_a_part_again_and_again_is_refused() -> None:
    encode = by_name("_codecs", "encode") + b"h\0" + text("latin1") + b"\x86R"
    data = PROTO4 + text("a" * 100_000) + b"q\0" + b"0(" + encode * 1000 + b"t."
    assert sum(map(len, pickle.loads(data))) == 10**8
    refused(data, "unpacks to more", below_mb=4)
    blob = torch_legacy(torch.zeros(50_000).untyped_storage())
    load = by_name("torch.storage", "_load_from_bytes") + b"h\0\x85R"
    push = b"B" + struct.pack("<I", len(blob)) + blob + b"q\0"
    read_pickle_bytes(PROTO4 + push + b"0" + load + b".")
    refused(PROTO4 + push + b"0(" + load * 1000 + b"t.", "unpacks to more", below_mb=16)


def test_other_codecs_are_refused() -> None:
    bomb = zlib.compress(bytes(10**7))
    data = pickle.dumps(Call(__import__("codecs").decode, bomb, "zlib"))
    assert len(pickle.loads(data)) == 10**7
    assert isinstance(read_pickle_bytes(data), Stub)
    refused(pickle.dumps(Call(__import__("_codecs").encode, "a", "punycode")), "encoding")


# ---------------------------------------------------------------- zips


def rezipped(change: Callable[[zipfile.ZipFile, list[tuple[str, bytes]]], None], value: object = GOOD) -> bytes:
    """torch's archive written again by `change`, which gets the new one and the entries of the old."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(torch_zip(value))) as old, zipfile.ZipFile(out, "w") as new:
        change(new, [(info.filename, old.read(info)) for info in old.infolist()])
    return out.getvalue()


def plain(new: zipfile.ZipFile, entries: list[tuple[str, bytes]]) -> None:
    for name, data in entries:
        new.writestr(name, data)


def with_entry(name: str, data: bytes = b"x", kind: int = zipfile.ZIP_STORED) -> bytes:
    def change(new: zipfile.ZipFile, entries: list[tuple[str, bytes]]) -> None:
        plain(new, entries)
        new.writestr(name, data, kind)

    return rezipped(change)


def test_an_archive_written_again_reads_the_same() -> None:
    value = read_pickle_bytes(rezipped(plain))
    assert isinstance(value, dict)
    assert torch.equal(value["a"], GOOD["a"])  # type: ignore[arg-type]


def test_zip_bombs_are_refused() -> None:
    refused(with_entry("archive/data/9", bytes(50_000_000), zipfile.ZIP_DEFLATED), "compressed", below_mb=8)

    def compressed(new: zipfile.ZipFile, entries: list[tuple[str, bytes]]) -> None:
        for name, data in entries:
            new.writestr(name, data, zipfile.ZIP_DEFLATED)

    refused(rezipped(compressed), "compressed")


def test_entries_that_share_their_bytes_are_refused() -> None:
    """A directory that names one place many times: small on disk, large when unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        plain(new, [("archive/data.pkl", pickle.dumps(1)), ("archive/data/0", bytes(100_000))])
        info = new.infolist()[1]
        for i in range(1, 500):
            copy = zipfile.ZipInfo(f"archive/data/{i}")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(copy, field, getattr(info, field))
            new.filelist.append(copy)
            new.NameToInfo[copy.filename] = copy
    refused(out.getvalue(), "more than itself|damaged", below_mb=4)


@pytest.mark.parametrize(
    "name",
    ["../evil", "archive/../../evil", "/etc/evil", "archive//evil", "archive/./evil", "archive\\evil", "other/data/0"],
)
def test_entries_outside_of_the_folder_are_refused(name: str) -> None:
    data = with_entry(name.replace("\\", "|")).replace(b"archive|evil", b"archive\\evil")
    refused(data, "outside of its folder")


def test_other_zips_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        refused(with_entry("archive/data.pkl", pickle.dumps({})), "two of one name")
    refused(with_entry("archive/code/__torch__.py"), "TorchScript")
    refused(with_entry("archive/constants.pkl"), "TorchScript")
    arrays = io.BytesIO()
    __import__("numpy").savez(arrays, a=[1])
    refused(arrays.getvalue(), "not one that torch wrote")
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    refused(empty.getvalue())

    def big(new: zipfile.ZipFile, entries: list[tuple[str, bytes]]) -> None:
        plain(new, [(name, b"big" if name.endswith("byteorder") else data) for name, data in entries])

    refused(rezipped(big), "byte order")


def test_changed_headers_are_refused() -> None:
    """Every length, offset and flag of the central directory set to extremes, one at a time."""
    data = torch_zip(GOOD)
    start = data.index(b"PK\1\2")
    end = data.rindex(b"PK\5\6")
    for place in [*range(start + 4, start + 46, 2), *range(end + 4, end + 22, 2)]:
        for value in (b"\xff\xff", b"\x00\x80", b"\x01\x00"):
            try:
                value_read = read_pickle_bytes(data[:place] + value + data[place + 2 :])
            except CheckpointError:
                continue
            assert torch.equal(value_read["a"], GOOD["a"])  # type: ignore[index, arg-type]


def test_a_changed_byte_of_a_weight_is_found_out() -> None:
    data = bytearray(torch_zip(GOOD))
    data[data.index(GOOD["a"].numpy().tobytes()) + 3] ^= 1  # type: ignore[attr-defined]
    refused(bytes(data), "CRC")


# ---------------------------------------------------------------- not whole


@pytest.mark.parametrize("write", [torch_zip, torch_legacy, pickle.dumps], ids=["zip", "legacy", "pickle"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, write: Callable[[object], bytes]) -> None:
    whole = write(GOOD)
    read_pickle_bytes(whole)
    ends = {0, 1, 2, 3, 4, len(whole) - 1, *range(5, len(whole), max(1, len(whole) // 150))}
    for end in sorted(ends):
        refused(whole[:end])
        (tmp_path / "x").write_bytes(whole[:end])
        with pytest.raises(CheckpointError):
            read_pickle(tmp_path / "x")


@pytest.mark.parametrize("write", [torch_legacy, pickle.dumps], ids=["legacy", "pickle"])
def test_a_file_that_goes_on_is_refused(write: Callable[[object], bytes]) -> None:
    refused(write(GOOD) + b"more", "goes on")


# ---------------------------------------------------------------- views and storages


def view(*arguments: object) -> dict[str, Call]:
    storage = torch.arange(10.0).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    return {"x": Call(torch._utils._rebuild_tensor_v2, typed, *arguments, False, collections.OrderedDict())}


@pytest.mark.parametrize("write", [torch_zip, torch_legacy, pickle.dumps], ids=["zip", "legacy", "pickle"])
@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (11,), (1,)),
        (1, (10,), (1,)),
        (11, (0,), (1,)),
        (10, (1,), (1,)),
        (0, (2, 5), (6, 1)),
        (0, (2,), (10,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (10**9,), (0,)),
        (0, (4, 4), (1, 1)),
        (0, (2**33, 2**33), (1, 1)),
        (2**62, (1,), (1,)),
        (0, (2, 2), (1,)),
        (0, (True,), (1,)),
        (0, (2.0,), (1,)),
        (0, ("2",), (1,)),
        (0, 2, 1),
        ("0", (2,), (1,)),
        (0, (1,) * 65, (1,) * 65),
    ],
)
def test_views_beyond_their_storage_are_refused(
    write: Callable[[object], bytes], offset: object, size: object, stride: object
) -> None:
    refused(write(view(offset, size, stride)), "tensor|shape")


@pytest.mark.parametrize(("offset", "size", "stride"), [(0, (10,), (1,)), (2, (2, 4), (4, 1)), (1, (3,), (3,))])
def test_views_inside_their_storage_are_read(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    for write in (torch_zip, torch_legacy, pickle.dumps):
        value = read_pickle_bytes(write(view(offset, size, stride)))
        assert torch.equal(value["x"], torch.arange(10.0).as_strided(size, stride, offset))  # type: ignore[index]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x0c", b"K\x0d"),  # one number more than the storage has
        (b"FloatStorage", b"HalfsStorage"),
        (b"FloatStorage", b"DoubleStorage"[:12]),
        (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x007"),  # a storage that is not there
        (b"storage", b"storagx"),
    ],
)
def test_references_to_other_storages_are_refused(old: bytes, new: bytes) -> None:
    def change(archive: zipfile.ZipFile, entries: list[tuple[str, bytes]]) -> None:
        for name, data in entries:
            replaced = data.replace(old, new, 1) if name.endswith("data.pkl") else data
            assert not name.endswith("data.pkl") or replaced != data
            archive.writestr(name, replaced)

    refused(rezipped(change, {"a": GOOD["a"]}))


def test_tensors_of_other_kinds_are_refused() -> None:
    refused(torch_zip(torch.eye(3).to_sparse()), "sparse, quantised")
    with warnings.catch_warnings(record=True):
        refused(torch_zip(torch.eye(3).to_sparse_csr()), "sparse, quantised")
        refused(torch_zip(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)), "storage")
    refused(torch_zip(torch.zeros(2, dtype=torch.complex64)), "storage")
    refused(torch_zip(torch.zeros(2, device="meta")))
