"""Generators by name on the command line, and the picture that inspection draws."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from bozzetto import download as downloading
from bozzetto.cli.main import execute
from bozzetto.gan.registry import PUBLISHED
from bozzetto.gan.zoo import ZOO
from tiny_run import write_gan


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOZZETTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def test_the_list_has_every_name_with_kind_size_category_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["gan", "list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "kind", "px", "category", "where", "SHA-256", "licence"]
    assert [line.split()[0] for line in lines] == [row.name for row in ZOO] + [row.name for row in PUBLISHED]
    told = next(line for line in lines if line.startswith("ffhq1024 ")).split(maxsplit=7)
    assert told[1:6] == ["stylegan2", "1024", "face", "to", "download"]
    assert told[6] == "a205a346e86a"
    assert "non-commercial" in told[7]
    assert next(line for line in lines if line.startswith("heads ")).split()[1:6] == [
        *("stylegan2", "64", "heads", "built", "in")
    ]


def test_the_list_as_json_has_addresses_and_whole_hashes(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.mkdir()
    (cache / "stylegan2-ffhq-256x256.pkl").write_bytes(b"")
    (cache / "stylegan2-ffhq-256x256.pkl.sha256").write_text("ab" * 32 + "\n")
    assert execute(["gan", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for published in PUBLISHED:
        assert rows[published.name]["url"] == published.url
        if published.sha256:
            assert rows[published.name]["SHA-256"] == published.sha256
    assert (rows["ffhq256"]["where"], rows["ffhq256"]["SHA-256"]) == ("here", "ab" * 32)
    assert rows["heads"]["SHA-256"] == ZOO[0].sha256


def test_a_download_ends_with_the_path_and_says_what_it_may_be_used_for(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(downloading, "open_https", lambda url: io.BytesIO(url.encode()))
    assert execute(["gan", "download", "afhqcat512"]) == 0
    path = cache / "afhqcat.pkl"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes().endswith(b"/afhqcat.pkl")
    assert "CC BY-NC 4.0" in caplog.text
    assert "trusted this once" in caplog.text


def test_a_download_that_is_not_the_published_file_is_refused(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "open_https", lambda url: io.BytesIO(b"something else"))
    assert execute(["gan", "download", "ffhq1024"]) == 3
    assert "not the published file" in capsys.readouterr().err
    assert not list(cache.glob("*"))


@pytest.mark.parametrize("name", ["heads", "nobody"])
def test_only_published_ones_are_downloaded(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["gan", "download", name]) == 2
    assert "`bozzetto gan list` has the names" in capsys.readouterr().err


def test_inspection_draws_samples_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gan(tmp_path / "tiny.safetensors")
    assert execute(["gan", "inspect", "tiny.safetensors"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["grid"] == "results/tiny_samples.png"
    assert {"sha256", "licence", "channels", "generator_parameters", "resolution"} <= set(facts)
    with Image.open(facts["grid"]) as default:
        assert default.size == (64, 64)  # 16 of 16 px
        drawn = default.tobytes()
    assert execute(["gan", "sample", "tiny.safetensors", "--n", "16", "--out", "same.png"]) == 0
    with Image.open("same.png") as same:
        assert same.tobytes() == drawn
    capsys.readouterr()
    assert execute(["gan", "inspect", "tiny.safetensors", "--grid", "g.png", "--n", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["grid"] == "g.png"
    with Image.open("g.png") as four:
        assert four.size == (32, 32)


def test_inspection_without_a_picture_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["gan", "inspect", "heads", "--n", "0"]) == 0
    assert "grid" not in json.loads(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    assert execute(["gan", "inspect", "heads", "--n", "-1"]) == 2


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    write_gan(tmp_path / "tiny.safetensors")
    assert execute(["gan", "sample", "tiny.safetensors", "--out", "file/below.png"]) == 5
    assert execute(["gan", "inspect", "tiny.safetensors", "--grid", "file/below.png"]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 2
