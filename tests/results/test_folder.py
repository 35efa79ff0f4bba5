from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic_dome import file_size_limit
from torch import Tensor

from bozzetto.errors import InputError, OutputError
from bozzetto.export.depth16 import read_depth16
from bozzetto.results import Provenance, Reconstruction, export_folder, read, read_log, read_networks, write
from bozzetto.results.folder import LOG, NETWORKS, RECORD, SCENE, SCHEMA_VERSION, THROUGH_GAN, keep_through_gan
from bozzetto.results.reconstruction import check_through_gan
from bozzetto.types import ThroughGan

FEW = ("png", "glb")  # formats that are quick to draw


@pytest.fixture
def stored(record: Reconstruction, tmp_path: Path) -> Path:
    return record.save(tmp_path / "result", formats=())


def _edit(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**document, **changes}))


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestRoundTrip:
    def test_write_then_read_is_the_identity(self, record: Reconstruction, stored: Path) -> None:
        back = Reconstruction.load(stored)
        for name, value in record.tensors().items():
            assert torch.equal(getattr(back, name), value), name
            assert getattr(back, name).dtype == value.dtype
        assert back.camera == record.camera
        assert back.depth_range == record.depth_range
        assert back.provenance == record.provenance

    def test_odd_floats_keep_their_bits(self, record: Reconstruction, tmp_path: Path) -> None:
        import dataclasses

        odd = torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45, 3.0, 0.1])
        one = dataclasses.replace(record, view=odd)
        back = read(write(one, tmp_path / "r", formats=()))
        assert torch.equal(back.view.view(torch.int32), odd.view(torch.int32))

    def test_writing_twice_gives_the_same_bytes(self, record: Reconstruction, tmp_path: Path) -> None:
        first, second = (write(record, tmp_path / name, formats=FEW) for name in ("a", "b"))
        assert _content(first) == _content(second)

    def test_networks_and_log(self, record: Reconstruction, tmp_path: Path) -> None:
        shared = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        networks = {"depth.weight": shared, "depth.tied": shared, "steps": torch.tensor(3)}
        rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": float("nan")}]
        folder = record.save(tmp_path / "r", networks=networks, log=rows, formats=())
        back = read_networks(folder)
        assert back is not None
        assert back.keys() == networks.keys()
        assert all(torch.equal(back[name], networks[name]) for name in networks)
        assert read_log(folder) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
        copied = record.save(tmp_path / "copy", log=folder / LOG, formats=())
        assert (copied / LOG).read_bytes() == (folder / LOG).read_bytes()

    def test_neither_networks_nor_log(self, stored: Path) -> None:
        assert read_networks(stored) is None
        assert read_log(stored) == []
        assert {path.name for path in stored.iterdir()} == {RECORD, SCENE}

    def test_export_from_the_folder_equals_export_from_the_record(self, record: Reconstruction, tmp_path: Path) -> None:
        formats = (*FEW, "obj", "sheet")
        folder = write(record, tmp_path / "r", formats=formats)
        drawn = export_folder(folder, tmp_path / "again", formats)
        direct = export_folder(record, tmp_path / "direct", formats)
        assert [path.name for path in drawn] == [path.name for path in direct]
        again = _content(tmp_path / "again")
        assert again == _content(tmp_path / "direct")
        assert again == {name: content for name, content in _content(folder).items() if name not in (RECORD, SCENE)}

    def test_the_record_tells_the_scale_of_the_depth_pictures(self, record: Reconstruction, tmp_path: Path) -> None:
        folder = write(record, tmp_path / "r", formats=("png",))
        told = json.loads((folder / RECORD).read_text())["depth16"]
        for name in ("depth16.png", "depth16_posed.png"):
            assert read_depth16(folder / name)[1].to_json() == told[name]

    def test_the_folder_can_be_exported_into_itself(self, stored: Path) -> None:
        export_folder(stored, stored, ("glb",))
        assert (stored / "mesh.glb").is_file()
        assert read(stored).size > 0


class TestDamage:
    def test_a_newer_schema_is_named(self, stored: Path) -> None:
        _edit(stored, schema_version=SCHEMA_VERSION + 1)
        with pytest.raises(OutputError, match=r"newer bozzetto \(schema 2.*install"):
            read(stored)

    def test_a_record_cut_off_anywhere_is_refused(self, stored: Path) -> None:
        whole = (stored / RECORD).read_bytes().rstrip()
        for length in range(0, len(whole), 37):
            (stored / RECORD).write_bytes(whole[:length])
            with pytest.raises(OutputError, match="cut off"):
                read(stored)

    def test_a_scene_cut_off_or_altered_is_refused(self, stored: Path) -> None:
        whole = (stored / SCENE).read_bytes()
        flipped = bytearray(whole)
        flipped[-5] ^= 1
        for content in (whole[:-1], whole[:100], b"", bytes(flipped)):
            (stored / SCENE).write_bytes(content)
            with pytest.raises(OutputError, match="cut off or altered"):
                read(stored)

    def test_a_scene_that_is_no_scene_is_refused_even_with_a_right_checksum(self, stored: Path) -> None:
        import hashlib

        import safetensors.torch

        for content in (b"\xff" * 64, safetensors.torch.save({"image": torch.zeros(3)})):
            (stored / SCENE).write_bytes(content)
            _edit(stored, files={"scene": {"file": SCENE, "sha256": hashlib.sha256(content).hexdigest()}})
            with pytest.raises(OutputError, match="damaged"):
                read(stored)

    @pytest.mark.parametrize(
        "changes",
        [
            {"camera": {"size": 5, "fov_deg": 10}},
            {"camera": {"size": "x", "fov_deg": 10}},
            {"camera": None},
            {"depth_range": {"near": 1}},
            {"provenance": {"seed": 1}},
            {"provenance": None},
            {"files": []},
            {"files": {}},
            {"files": {"scene": {"file": 3, "sha256": ""}}},
            {"kind": "something else"},
            {"schema_version": "1"},
        ],
    )
    def test_fields_that_make_no_sense_are_refused(self, stored: Path, changes: dict[str, Any]) -> None:
        _edit(stored, **changes)
        with pytest.raises(OutputError):
            read(stored)

    def test_json_that_is_no_object_or_absurdly_deep(self, stored: Path) -> None:
        for text in ("[]", "3", "[" * 200_000):
            (stored / RECORD).write_text(text)
            with pytest.raises(OutputError):
                read(stored)

    def test_missing_parts_are_named(self, stored: Path, tmp_path: Path) -> None:
        (stored / SCENE).unlink()
        with pytest.raises(OutputError, match=f"{SCENE} is missing"):
            read(stored)
        with pytest.raises(OutputError, match=f"{RECORD} is missing"):
            read(tmp_path / "nowhere")


class TestNoWayOut:
    @pytest.mark.parametrize(
        "name", ["../other.safetensors", "/etc/passwd", "a/b", "..", ".", "", "C:x", "a\\b", "a\0b"]
    )
    def test_names_that_lead_elsewhere_are_refused(self, stored: Path, name: str) -> None:
        (stored.parent / "other.safetensors").write_bytes((stored / SCENE).read_bytes())
        files = json.loads((stored / RECORD).read_text())["files"]
        _edit(stored, files={"scene": {**files["scene"], "file": name}})
        with pytest.raises(OutputError, match="no plain file name"):
            read(stored)

    @pytest.mark.parametrize("name", [RECORD, SCENE])
    def test_links_are_refused(self, stored: Path, name: str) -> None:
        outside = stored.parent / "outside"
        (stored / name).rename(outside)
        (stored / name).symlink_to(outside)
        with pytest.raises(OutputError, match="is a link"):
            read(stored)

    def test_a_linked_folder_may_be_read(self, record: Reconstruction, stored: Path) -> None:
        link = stored.parent / "link"
        link.symlink_to(stored)
        assert torch.equal(read(link).depth, record.depth)


class _Interrupting(Mapping[str, Tensor]):
    """Networks whose reading fails in the middle, as a full disk or Ctrl-C would."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def __getitem__(self, key: str) -> Tensor:
        if key == "b":
            raise self.failure
        return torch.ones(1)

    def __iter__(self) -> Iterator[str]:
        return iter(("a", "b"))

    def __len__(self) -> int:
        return 2


class TestWriting:
    @pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), MemoryError()])
    @pytest.mark.parametrize("existing", [False, True])
    def test_an_interrupted_write_leaves_things_as_they_were(
        self, record: Reconstruction, tmp_path: Path, failure: BaseException, existing: bool
    ) -> None:
        target = tmp_path / "result"
        before = _content(record.save(target, formats=())) if existing else None
        with pytest.raises(OutputError if isinstance(failure, OSError) else type(failure)):
            record.save(target, networks=_Interrupting(failure), formats=())
        assert [path.name for path in tmp_path.iterdir()] == (["result"] if existing else [])
        if before is not None:
            assert _content(target) == before

    def test_no_room_is_one_sentence_about_the_folder_asked_for(self, record: Reconstruction, tmp_path: Path) -> None:
        with file_size_limit(10_000), pytest.raises(OutputError) as caught:
            record.save(tmp_path / "result", formats=())
        assert str(caught.value).startswith(f"Cannot write {tmp_path / 'result' / SCENE}: the file would be larger")
        assert list(tmp_path.iterdir()) == []

    def test_no_room_for_a_late_file_leaves_no_folder(self, record: Reconstruction, tmp_path: Path) -> None:
        with file_size_limit((1 << 17) + 1000), pytest.raises(OutputError):
            record.save(tmp_path / "result", formats=("glb", "sheet"))
        assert list(tmp_path.iterdir()) == []

    def test_a_strangers_folder_is_refused_and_untouched(self, record: Reconstruction, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / "thesis.txt").write_text("years of work")
        with pytest.raises(OutputError, match="no result folder"):
            record.save(home, formats=())
        (home / RECORD).write_text('{"kind": "shop"}')  # the name alone does not make it ours
        with pytest.raises(OutputError, match="no result folder"):
            record.save(home, formats=())
        assert (home / "thesis.txt").read_text() == "years of work"

    def test_a_file_or_a_link_in_the_way_is_refused(self, record: Reconstruction, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        real = record.save(tmp_path / "real", formats=())
        (tmp_path / "link").symlink_to(real)
        with pytest.raises(OutputError, match="is a file"):
            record.save(tmp_path / "file", formats=())
        with pytest.raises(OutputError, match="is a link"):
            record.save(tmp_path / "link", formats=())
        with pytest.raises(OutputError, match="Cannot write"):
            record.save(tmp_path / "file" / "below", formats=())
        assert (tmp_path / "file").read_text() == "x"
        assert (tmp_path / "link").is_symlink()

    def test_the_folder_one_stands_in_is_refused(
        self, record: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        monkeypatch.chdir(inner)
        for name in (".", "..", str(inner)):
            with pytest.raises(OutputError, match="the folder you are in"):
                record.save(name, formats=())

    def test_an_empty_folder_is_taken_and_parents_are_made(self, record: Reconstruction, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert read(record.save(tmp_path / "empty", formats=())).size == record.size
        assert read(record.save(tmp_path / "a" / "b" / "c", formats=())).size == record.size

    def test_a_result_is_replaced_as_a_whole_but_foreign_files_stay(
        self, record: Reconstruction, tmp_path: Path
    ) -> None:
        import dataclasses

        folder = record.save(tmp_path / "r", networks={"a": torch.ones(1)}, formats=("glb",))
        (folder / "notes.txt").write_text("mine")
        (folder / "more").mkdir()
        (folder / "more" / "deep.txt").write_text("too")
        other = dataclasses.replace(record, provenance=Provenance(input_name="second.png"))
        other.save(folder, formats=())
        assert {path.name for path in folder.iterdir()} == {RECORD, SCENE, "notes.txt", "more"}
        assert (folder / "more" / "deep.txt").read_text() == "too"
        assert read(folder).provenance.input_name == "second.png"
        assert not (folder / NETWORKS).exists()
        assert [path.name for path in tmp_path.iterdir()] == ["r"]

    def test_a_foreign_folder_under_one_of_our_names_stops_the_replacement(
        self, record: Reconstruction, stored: Path
    ) -> None:
        (stored / "mesh.glb").mkdir()
        (stored / "mesh.glb" / "mine").write_text("x")
        with pytest.raises(OutputError):
            record.save(stored, formats=("glb",))
        assert (stored / "mesh.glb" / "mine").read_text() == "x"
        assert read(stored).size == record.size

    def test_the_folder_is_as_open_as_any_other(self, stored: Path) -> None:
        plain = stored.parent / "plain"
        plain.mkdir()
        assert os.stat(stored).st_mode == os.stat(plain).st_mode

    def test_an_unknown_format_is_refused_first(self, record: Reconstruction, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no export format"):
            record.save(tmp_path / "r", formats=("fbx",))
        assert list(tmp_path.iterdir()) == []

    def test_a_log_that_is_not_there(self, record: Reconstruction, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="Cannot read the log"):
            record.save(tmp_path / "r", log=tmp_path / "none.jsonl", formats=())


@pytest.fixture
def pictures(record: Reconstruction) -> ThroughGan:
    rng, size = torch.Generator().manual_seed(1), record.size
    turn, relight = (torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=rng) for n in (5, 3))
    return ThroughGan(turn, torch.randn(5, 6, generator=rng), relight, torch.randn(3, 4, generator=rng))


def _same(one: ThroughGan | None, other: ThroughGan) -> bool:
    return one is not None and all(torch.equal(vars(one)[name], value) for name, value in vars(other).items())


class TestThroughTheGan:
    def test_they_come_back_bit_for_bit(self, record: Reconstruction, pictures: ThroughGan, tmp_path: Path) -> None:
        folder = dataclasses.replace(record, through_gan=pictures).save(tmp_path / "r", formats=())
        assert _same(read(folder).through_gan, pictures)
        assert {path.name for path in folder.iterdir()} == {RECORD, SCENE, THROUGH_GAN}

    def test_a_folder_without_them_is_whole(self, stored: Path) -> None:
        assert read(stored).through_gan is None
        assert "through_gan" not in json.loads((stored / RECORD).read_text())["files"]

    def test_they_can_be_added_and_replaced_later(
        self, record: Reconstruction, pictures: ThroughGan, stored: Path, tmp_path: Path
    ) -> None:
        before = _content(stored)
        keep_through_gan(stored, pictures)
        assert _content(stored)[SCENE] == before[SCENE]
        at_once = dataclasses.replace(record, through_gan=pictures).save(tmp_path / "at once", formats=())
        assert json.loads((stored / RECORD).read_text()) == json.loads((at_once / RECORD).read_text())
        other = dataclasses.replace(pictures, turn=255 - pictures.turn)
        keep_through_gan(stored, other)
        assert _same(read(stored).through_gan, other)

    def test_an_interrupt_while_they_are_replaced_leaves_a_whole_result(
        self, pictures: ThroughGan, stored: Path
    ) -> None:
        keep_through_gan(stored, pictures)
        (stored / RECORD).chmod(0o644)
        with file_size_limit(20_000), pytest.raises(OutputError):
            keep_through_gan(stored, pictures)
        assert read(stored).through_gan is None
        keep_through_gan(stored, pictures)
        assert _same(read(stored).through_gan, pictures)

    def test_damage_is_named(self, record: Reconstruction, pictures: ThroughGan, stored: Path) -> None:
        keep_through_gan(stored, pictures)
        whole = (stored / THROUGH_GAN).read_bytes()
        (stored / THROUGH_GAN).write_bytes(whole[:-1])
        with pytest.raises(OutputError, match=r"through_gan.safetensors is cut off or altered"):
            read(stored)
        (stored / THROUGH_GAN).unlink()
        with pytest.raises(OutputError, match=r"through_gan.safetensors is missing"):
            read(stored)

    @pytest.mark.parametrize("field", ["turn", "turn_view", "relight", "relight_light"])
    def test_pictures_of_another_kind_are_refused(
        self, field: str, record: Reconstruction, pictures: ThroughGan
    ) -> None:
        for value in (vars(pictures)[field].double(), vars(pictures)[field][:-1], vars(pictures)[field][..., :-1]):
            odd = object.__new__(ThroughGan)
            vars(odd).update({**vars(pictures), field: value})
            with pytest.raises(ValueError, match="through the GAN"):
                check_through_gan(odd, record.size)

    @pytest.mark.parametrize("field", ["turn_view", "relight_light"])
    def test_ways_that_are_not_finite_are_refused(
        self, field: str, record: Reconstruction, pictures: ThroughGan
    ) -> None:
        for value in (float("nan"), float("inf")):
            odd = dataclasses.replace(pictures, **{field: vars(pictures)[field] + value})
            with pytest.raises(ValueError, match="not finite"):
                check_through_gan(odd, record.size)
