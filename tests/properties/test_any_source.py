"""Lists of photos and tars: any bytes give paths and pictures, or one sentence, and nothing is unpacked."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from anything import damaged, examples, value_or_sentence
from hypothesis import given
from hypothesis import strategies as st

from bozzetto.photo_list import list_photos, natural_key
from bozzetto.tarred import members_of, read_member

LINES = [b"a.png", b"# x", b"", b"sub", b"x.tar", b"..", b"y.txt", b"\xff"]
MEMBERS = {"a.png": b"first", "sub/b.jpg": b"second", "sub/c.txt": b"third"}


def tar(members: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=form) as new:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    return stream.getvalue()


WHOLE = [
    *(tar(MEMBERS, mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")),
    tar({"x" * 200 + ".png": b"long"}, form=tarfile.GNU_FORMAT),
    tar({"é" * 150 + ".png": b"long"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@examples(75)
@given(damaged(*WHOLE))
def test_any_bytes_are_a_tar_or_refused(folder: Path, data: bytes) -> None:
    path = folder / "photos.tar"
    path.write_bytes(data)
    value_or_sentence(lambda: list_photos([path]), folder)
    for member in value_or_sentence(lambda: members_of(path), folder) or []:
        assert path in member.parents
        content = value_or_sentence(lambda member=member: read_member(member), folder)  # type: ignore[misc]
        assert content is None or isinstance(content, bytes)


@examples(60)
@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z0-9 äé]{1,20}\.(png|jpg)", fullmatch=True), st.binary(min_size=1), max_size=5
    )
)
def test_photos_come_out_of_a_tar_as_they_went_in(folder: Path, members: dict[str, bytes]) -> None:
    path = folder / "whole.tar"
    path.write_bytes(tar(members) + b"\0" * len(members))
    assert {member.name: read_member(member) for member in members_of(path)} == members


@examples(75)
@given(st.binary(max_size=80) | st.lists(st.sampled_from(LINES)).map(b"\n".join))
def test_any_bytes_are_a_list_or_refused(folder: Path, data: bytes) -> None:
    path = folder / "photos.txt"
    path.write_bytes(data)
    found = value_or_sentence(lambda: list_photos([path]), folder)
    assert found is None or len(found) == len({str(photo) for photo in found}) > 0


NAMES = st.text(st.characters(exclude_characters="\n\r\0/#", exclude_categories=("Cs",)), min_size=1, max_size=12)


@examples(75)
@given(st.sets(NAMES.map(lambda name: f"{name.strip(chr(32) + chr(9))}_.png"), min_size=1, max_size=6))
def test_a_list_gives_the_photos_that_it_names(folder: Path, names: set[str]) -> None:
    path = folder / "whole.txt"
    path.write_text("# photos\n\n" + "\n".join(sorted(names)), "utf-8", newline="\n")
    assert list_photos([path]) == sorted((folder / name for name in names), key=natural_key)


@examples(50)
@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_paths_are_photos_or_refused(folder: Path, names: list[str]) -> None:
    value_or_sentence(lambda: list_photos([folder / "none" / name.replace("\0", "") for name in names]))
