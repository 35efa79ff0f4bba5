"""Working exploits. Each is first shown to run code when opened the usual way; opened by us it runs nothing."""

from __future__ import annotations

import contextlib
import copyreg
import importlib.util
import io
import os
import pickle
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import exploits
import pytest
import torch
from exploits import EXPLOITS, Exploit

from bozzetto.errors import CheckpointError
from bozzetto.gan import load_gan
from bozzetto.gan.pickle_records import children
from bozzetto.gan.restricted_pickle import Global, Stub, read_pickle, read_pickle_bytes

INERT = {"dotted_name", "exec_wrapper", "numpy_runs_text", "hub", "module_src"}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def open_as_usual(data: bytes, opener: str) -> None:
    """What everybody does with such a file, errors and all."""
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if opener == "pickle":
            pickle.loads(data)
        else:
            torch.load(io.BytesIO(data), weights_only=False)


def values(root: object) -> Iterator[object]:
    yield root
    for child in children(root):
        yield from values(child)


@pytest.mark.parametrize("exploit", EXPLOITS, ids=lambda e: e.build.__name__)
def test_an_exploit_that_works_elsewhere_runs_nothing_here(exploit: Exploit, marker: Path, tmp_path: Path) -> None:
    if exploit.build is exploits.numpy_runs_text and importlib.util.find_spec("numpy.distutils") is None:
        pytest.skip("from Python 3.12 on numpy cannot run text files")
    data = exploit.build(marker)
    open_as_usual(data, exploit.opener)
    assert marker.exists(), "the exploit does not work, so it proves nothing"
    marker.unlink()

    path = tmp_path / "network.pkl"
    path.write_bytes(data)
    if exploit.build.__name__ in INERT:
        found = read_pickle(path)
        assert any(isinstance(value, Stub) for value in values(found))
    else:
        with pytest.raises(CheckpointError) as caught:
            read_pickle(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError):
        load_gan(path)
    assert not marker.exists()


def test_source_text_is_only_text(marker: Path) -> None:
    network = read_pickle_bytes(exploits.module_src(marker))
    assert isinstance(network, Stub)
    assert network.full_name == "torch_utils.persistence._reconstruct_persistent_obj"
    meta = network.args[0]
    assert exploits.code(marker) in meta["module_src"]
    assert meta["class_name"] == "Generator"
    assert set(meta["state"]) == {"_parameters", "_buffers", "_modules", "_init_args", "_init_kwargs"}
    assert not marker.exists()


def test_what_is_inert_holds_names_and_arguments_but_no_object(marker: Path) -> None:
    for build in (exploits.dotted_name, exploits.exec_wrapper, exploits.hub):
        for value in values(read_pickle_bytes(build(marker))):
            assert type(value) in (Stub, str, dict, tuple, list, type(None))
    assert read_pickle_bytes(exploits.PROTO4 + exploits.by_name("os.path", "join")[:0] + b"N.") is None
    assert read_pickle_bytes(pickle.dumps(io.BytesIO)) == Global("_io", "BytesIO")


def test_extension_codes_are_refused(marker: Path) -> None:
    data = b"\x80\x02\x82\xf7" + exploits.text(exploits.touch(marker)) + b"\x85R."
    copyreg.add_extension(os.system.__module__, "system", 0xF7)
    try:
        open_as_usual(data, "pickle")
        assert marker.exists()
        marker.unlink()
        with pytest.raises(CheckpointError, match="EXT1"):
            read_pickle_bytes(data)
    finally:
        copyreg.remove_extension(os.system.__module__, "system", 0xF7)
    assert not marker.exists()


@pytest.mark.parametrize("opcode", [b"\x97", b"\x97\x98"], ids=["NEXT_BUFFER", "READONLY_BUFFER"])
def test_buffers_from_outside_are_refused(opcode: bytes) -> None:
    with pytest.raises(CheckpointError, match="NEXT_BUFFER"):
        read_pickle_bytes(b"\x80\x05" + opcode + b".")


def test_persistent_references_of_bare_pickles_are_refused() -> None:
    with pytest.raises(CheckpointError, match="outside of itself"):
        read_pickle_bytes(b"\x80\x02X\1\0\0\0aQ.")
    with pytest.raises(CheckpointError, match="PERSID"):
        read_pickle_bytes(b"\x80\x02Pa\n.")


def test_states_never_reach_an_object(marker: Path) -> None:
    """BUILD with __class__, __dict__ and slots, on every kind of thing that can be on the stack."""
    state = {"__class__": 1, "__dict__": {"a": 1}, "__setstate__": 2, "module": "x", "args": "y"}
    stub = read_pickle_bytes(
        exploits.PROTO4
        + exploits.by_name("some", "Class")
        + b")\x81"
        + pickle.dumps((None, state), 2)[2:-1]
        + pickle.BUILD
        + b"."
    )
    assert isinstance(stub, Stub)
    assert (stub.module, stub.name, stub.args, stub.state) == ("some", "Class", (), (None, state))
    built = pickle.dumps(state, 2)[2:-1] + pickle.BUILD + b"."
    assert read_pickle_bytes(exploits.PROTO4 + b"}" + built) == {}  # an OrderedDict's attributes are left out
    array = pickle.dumps(__import__("numpy").zeros(2))[:-1]
    tensor = pickle.dumps(torch.zeros(2))[:-1]
    name = exploits.PROTO4 + exploits.by_name("some", "Class")
    for thing in (exploits.PROTO4 + b"]", exploits.PROTO4 + b")", name, exploits.PROTO4 + b"K\1", array, tensor):
        with pytest.raises(CheckpointError):
            read_pickle_bytes(thing + built)
    with pytest.raises(CheckpointError):  # no pickler gives a state twice
        read_pickle_bytes(name + b")\x81" + built[:-1] + built)
    with pytest.raises(CheckpointError, match="no class by name"):  # the call of something that was made
        read_pickle_bytes(name + b")R)R.")
    with pytest.raises(CheckpointError, match="no class by name"):
        read_pickle_bytes(exploits.PROTO4 + b"X\2\0\0\0os)R.")


def test_damaged_exploits_and_checkpoints_only_ever_complain(marker: Path) -> None:
    """Random bytes changed in files of every kind: data or one sentence, no other exception, nothing run."""
    rng = random.Random(5)
    good = {"a": torch.arange(6.0).view(2, 3), "b": [1, "x", (None, 2.5)], "lin": torch.nn.Linear(2, 2)}
    seeds = [pickle.dumps(good), exploits.torch_zip(good), exploits.torch_legacy(good), pickle.dumps(good, 0)]
    seeds += [exploits.module_src(marker), exploits.in_storage(marker), exploits.getattr_chain(marker)]
    outcomes = {"data": 0, "refused": 0}
    for _ in range(600):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), *b"R.()]}b\x81\x93i0o"])
        try:
            read_pickle_bytes(bytes(data))
            outcomes["data"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50
    assert not marker.exists()


def test_random_operations_only_ever_complain() -> None:
    rng = random.Random(6)
    operations = [bytes([byte]) for byte in b"()]}.0123NabeosutRQq\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"]
    operations += [
        b"K\1",
        b"X\1\0\0\0a",
        b"C\1a",
        b"q\0",
        b"h\0",
        exploits.by_name("torch._utils", "_rebuild_tensor_v2"),
    ]
    operations += [
        exploits.by_name(*name)
        for name in (("collections", "OrderedDict"), ("numpy", "dtype"), ("torch.storage", "_load_from_bytes"))
    ]
    for _ in range(5000):
        body = b"".join(rng.choices(operations, k=rng.randint(1, 30)))
        with contextlib.suppress(CheckpointError):
            read_pickle_bytes(b"\x80\x04" + body + b".")
