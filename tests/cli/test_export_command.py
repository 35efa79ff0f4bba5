from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bozzetto.cli.export import split_names
from bozzetto.cli.main import execute

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))

from synthetic_dome import dome


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dome().save(tmp_path_factory.mktemp("export") / "result", formats=())


@pytest.mark.parametrize("flag", [["--format", "glb,stl"], ["--format=glb,stl"], ["--formats", "glb", "stl"]])
def test_formats_with_commas_or_spaces(
    flag: list[str], result: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert execute(["export", str(result), *flag, "--solid", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert told.err.split() == [str(out / "mesh.glb"), str(out / "mesh.stl")]
    assert {path.name for path in out.iterdir()} == {"mesh.glb", "mesh.stl"}


def test_names_are_split() -> None:
    assert split_names(["a,b", "c", "d, ,"]) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--format", "gif", "--path", "spin"], "no path 'spin'"),
        (["--format", "gif", "--fps", "0"], "--fps cannot be 0"),
        (["--format", "gif", "--seconds", "-1"], "--seconds cannot be -1"),
        (["--format", "glb", "--max-stretch", "0"], "--max-stretch cannot be 0"),
        (["--format", "fbx"], "no export format 'fbx'"),
    ],
)
def test_complaints_are_one_sentence(
    flags: list[str], words: str, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert execute(["export", str(result), *flags, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
