"""Result folders and unfinished runs: whatever lies in them, a record comes out whole, or one sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from anything import JSONS, LEAVES, ODD, damaged, examples, nearly, value_or_sentence
from hypothesis import given
from hypothesis import strategies as st
from synthetic_dome import dome

from bozzetto.cli.estimate_views import estimate
from bozzetto.export.viewer import viewer_frame
from bozzetto.results import Reconstruction
from bozzetto.results.facts import facts_of, preset_of
from bozzetto.results.folder import RECORD, SCENE, is_result_folder, read, read_log, read_networks, read_preview, write
from bozzetto.results.partial import STATE, Partial, open_partial
from bozzetto.results.provenance import Provenance, plain
from bozzetto.through_gan import fit_of, learned_to_project

SIZE = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result with everything that there may be, of 4 px."""
    result = dome(SIZE)
    log = [{"done": 1, "seconds": 0.5, "loss": 1.0}]
    return write(result, tmp_path_factory.mktemp("results") / "x", {"a.b": torch.ones(2)}, log, (), preview=result)


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / RECORD).read_text("utf-8"))


def read_all(folder: Path) -> Reconstruction | None:
    """Everything that reads such a folder; what is read can be told about and written again."""
    assert value_or_sentence(lambda: is_result_folder(folder), folder) in (True, False)
    for reader in (read_networks, read_log, read_preview):
        value_or_sentence(lambda reader=reader: reader(folder), folder)  # type: ignore[misc]
    found = value_or_sentence(lambda: read(folder), folder)
    if found is not None:
        assert all(isinstance(text, str) for text in [*found.facts, *found.facts.values()])
        preset_of(found.provenance)
        value_or_sentence(lambda: learned_to_project(fit_of(found)))
        value_or_sentence(lambda: estimate([found, found]))
        json.dumps(found.provenance.to_json(), allow_nan=False)
    return found


@examples(60)
@given(data=st.data())
def test_any_record_is_a_result_or_refused(folder: Path, record: dict[str, Any], data: st.DataObject) -> None:
    value = data.draw(st.one_of(nearly(record), nearly(record), ODD))
    (folder / RECORD).write_text(json.dumps(value), "utf-8")
    read_all(folder)


def test_a_record_nested_as_deeply_as_json_is_read_is_a_result_or_refused(folder: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record | {"provenance": record["provenance"] | {"config": {"a": "HERE"}}})
    read = 0
    for levels in [*range(0, 100, 10), *range(100, 1200, 100), 100_000]:
        (folder / RECORD).write_text(text.replace('"HERE"', '{"a":' * levels + "1" + "}" * levels), "utf-8")
        read += read_all(folder) is not None
    assert read == 5


@examples(50)
@given(data=st.data())
def test_any_bytes_for_a_record_are_refused_or_a_result(
    folder: Path, record: dict[str, Any], data: st.DataObject
) -> None:
    (folder / RECORD).write_bytes(data.draw(damaged(json.dumps(record).encode())))
    read_all(folder)


@pytest.mark.parametrize("role", ["scene", "networks", "preview", "log"])
def test_any_bytes_for_a_file_with_the_right_checksum_are_read_or_refused(
    role: str, folder: Path, record: dict[str, Any]
) -> None:
    path = folder / record["files"][role]["file"]
    whole = path.read_bytes()

    @examples(50)
    @given(damaged(whole))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        entry = {**record["files"][role], "sha256": hashlib.sha256(data).hexdigest()}
        (folder / RECORD).write_text(json.dumps(record | {"files": record["files"] | {role: entry}}), "utf-8")
        read_all(folder)

    try:
        check()
    finally:
        path.write_bytes(whole)
        (folder / RECORD).write_text(json.dumps(record), "utf-8")


def test_a_whole_folder_is_read_bit_for_bit(folder: Path, record: dict[str, Any]) -> None:
    (folder / RECORD).write_text(json.dumps(record), "utf-8")
    found, made = read(folder), dome(SIZE)
    assert all(torch.equal(value, made.tensors()[name]) for name, value in found.tensors().items())
    assert (found.camera, found.depth_range, found.provenance) == (made.camera, made.depth_range, made.provenance)
    assert safetensors.torch.load((folder / SCENE).read_bytes()).keys() == made.tensors().keys()


OBJECTS = st.dictionaries(st.text(max_size=6), JSONS, max_size=4)
PROVENANCES = st.builds(
    Provenance,
    input_name=st.text(max_size=20),
    config=OBJECTS,
    seed=st.none() | st.integers(),
    generator_name=st.text(max_size=20),
    generator_sha256=st.text(max_size=8),
    seconds=st.dictionaries(st.text(max_size=6), LEAVES, max_size=4),
    losses=OBJECTS,
    metrics=st.none() | OBJECTS,
)


@examples(40)
@given(PROVENANCES)
def test_any_provenance_survives_the_round_trip(provenance: Provenance) -> None:
    assert Provenance.from_json(json.loads(json.dumps(provenance.to_json(), allow_nan=False))) == provenance
    json.dumps(facts_of(provenance, SIZE))


def test_a_result_of_any_provenance_can_be_shown() -> None:
    text = "</script><script>alert(1)</script>\u2028\x00"
    provenance = Provenance(input_name=text, generator_name=text, config={"category": text}, seed=10**400)
    frame = viewer_frame(dataclasses.replace(dome(SIZE), provenance=provenance))
    assert "<script>alert" not in frame


# -- unfinished runs --------------------------------------------------------------------------------------------------

SETTINGS = {"seed": 0, "fit": {"stages": [1, 2]}}
UNFINISHED = {"kind": "bozzetto-partial", "settings": SETTINGS, "progress": {"done": 1, "total": 2}}


@examples(40)
@given(
    st.one_of(ODD, nearly({"kind": "bozzetto-partial", "settings": SETTINGS, "progress": {"done": 1, "total": 2}})),
    st.booleans(),
)
def test_any_state_of_a_run_is_gone_on_with_or_refused(state: Path, value: Any, resume: bool) -> None:
    folder = state.parent / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps(value), "utf-8")
    (folder / "photo.png").write_bytes(b"not ours")
    partial = value_or_sentence(lambda: _opened(folder, resume))
    assert (folder / "photo.png").read_bytes() == b"not ours"
    if partial is None:
        assert json.loads((folder / "state.json").read_text("utf-8")) == json.loads(json.dumps(value)) or value != value


def _opened(folder: Path, resume: bool) -> Partial:
    partial = open_partial(folder, SETTINGS, resume, overwrite=False)
    partial.release()
    return partial


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    Partial(folder, {}).save(STATE, {"a": torch.ones(3)}, {"done": 3, "phase": "step1"})
    return folder


@examples(75)
@given(data=st.data())
def test_any_bytes_for_a_state_are_read_or_refused(state: Path, data: st.DataObject) -> None:
    fresh = state.parent / "whole"
    fresh.mkdir(exist_ok=True)
    Partial(fresh, {}).save(STATE, {"a": torch.ones(3)}, {"done": 3})
    (state / STATE).write_bytes(data.draw(damaged((fresh / STATE).read_bytes())))
    found = value_or_sentence(lambda: Partial(state, {}).load(STATE), state)
    assert found is None or isinstance(found[0], dict)


@examples(60)
@given(st.dictionaries(st.text(max_size=5), JSONS, max_size=3))
def test_what_a_run_keeps_comes_back(state: Path, facts: dict[str, Any]) -> None:
    partial = Partial(state, {})
    partial.save(STATE, {"a": torch.arange(3.0)}, facts)
    found = partial.load(STATE)
    assert found is not None
    assert torch.equal(found[0]["a"], torch.arange(3.0))
    assert found[1] == plain(facts)
