from __future__ import annotations

import errno
from pathlib import Path

import pytest
from synthetic_dome import file_size_limit

from bozzetto.errors import OutputError
from bozzetto.export.files import write_bytes, write_text, writing


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a" / "b.txt", "é\n")
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("x")])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    path = write_bytes(tmp_path / "keep.bin", b"old")

    def write_half() -> None:
        with writing(path) as temporary:
            temporary.write_bytes(b"half")
            raise failure

    with pytest.raises(OutputError if isinstance(failure, OSError) else type(failure)):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_space_is_said_in_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"^Cannot write .*keep\.bin: no space is left.*\.$"),
        writing(tmp_path / "keep.bin"),
    ):
        raise OSError(errno.ENOSPC, "full")


def test_the_system_refusing_to_write_on_is_an_output_error(tmp_path: Path) -> None:
    with file_size_limit(1000), pytest.raises(OutputError, match="larger than the system allows"):
        write_bytes(tmp_path / "big.bin", bytes(5000))
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"is a file and not a folder|in the way"):
        write_bytes(tmp_path / "file" / "x.bin", b"1")
