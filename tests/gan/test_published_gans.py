"""Published generators: a name becomes a file, from a server on this machine, checked and remembered."""

from __future__ import annotations

import hashlib
import logging
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from tiny_gan import tiny_networks, tiny_spec

from bozzetto import download as downloading
from bozzetto.download import ByteStream, open_https
from bozzetto.errors import CheckpointError
from bozzetto.gan import load_gan, registry
from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.registry import PUBLISHED, Published, cached, download, find_published, recorded_sha256
from bozzetto.gan.zoo import ZOO
from bozzetto.segment.categories import CATEGORIES

ROW = Published("tiny", "stylegan2", 16, "cat", "https://example.org/files/tiny.pkl", "CC BY-NC 4.0")


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(self.path)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a server of this machine hands out under /files; the cache is another one."""
    shelf = tmp_path / "shelf"
    (shelf / "files").mkdir(parents=True)
    monkeypatch.setenv("BOZZETTO_CACHE", str(tmp_path / "cache"))
    save_safetensors(shelf / "files" / "tiny.pkl", *tiny_networks(tiny_spec(16), 3), {"name": "inside"}, torch.float32)
    Quiet.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shelf)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def open_here(url: str) -> ByteStream:
        here = url.replace("https://example.org", f"http://127.0.0.1:{server.server_port}")
        return urllib.request.urlopen(here, timeout=10)

    monkeypatch.setattr(downloading, "open_https", open_here)
    monkeypatch.setattr(registry, "PUBLISHED", (ROW, *PUBLISHED))
    yield shelf
    server.shutdown()
    server.server_close()
    thread.join()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_name_is_downloaded_at_first_use_and_then_taken_from_the_cache(shelf: Path, tmp_path: Path) -> None:
    assert cached(ROW) is None
    assert recorded_sha256(ROW) is None
    gan = load_gan("tiny")
    assert Quiet.asked == ["/files/tiny.pkl"]
    assert (gan.info.name, gan.info.category, gan.info.licence) == ("tiny", "cat", "CC BY-NC 4.0")
    assert gan.info.resolution == 16
    assert gan.info.sha256 == digest(shelf / "files" / "tiny.pkl") == recorded_sha256(ROW)
    assert cached(ROW) == tmp_path / "cache" / "tiny.pkl"
    (shelf / "files" / "tiny.pkl").unlink()
    assert load_gan("tiny").info == gan.info
    assert len(Quiet.asked) == 1


def test_a_download_tells_the_licence_and_that_it_was_trusted_once(
    shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        download(ROW)
    licence, trust = (record.getMessage() for record in caplog.records)
    assert "CC BY-NC 4.0" in licence
    assert digest(shelf / "files" / "tiny.pkl") in trust
    assert re.fullmatch(r"[^.\n]+tiny\.pkl[^\n]+\.", trust)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        download(ROW)
    assert not caplog.records


def test_a_file_whose_hash_is_known_is_checked_and_not_trusted(shelf: Path, caplog: pytest.LogCaptureFixture) -> None:
    right = replace(ROW, sha256=digest(shelf / "files" / "tiny.pkl"))
    with caplog.at_level(logging.WARNING):
        assert download(right).is_file()
    assert [record.getMessage() for record in caplog.records] == [f"{ROW.name} ({ROW.url}): {ROW.licence}."]
    wrong = replace(ROW, url="https://example.org/files/other.pkl", sha256="0" * 64)
    (shelf / "files" / "other.pkl").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="not the published file"):
        download(wrong)
    assert cached(wrong) is None


def test_a_file_that_changes_after_its_first_use_is_refused(shelf: Path, tmp_path: Path) -> None:
    load_gan("tiny")
    path = tmp_path / "cache" / "tiny.pkl"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(CheckpointError, match="delete"):
        load_gan("tiny")


def test_what_is_not_there_is_one_sentence(shelf: Path) -> None:
    (shelf / "files" / "tiny.pkl").unlink()
    with pytest.raises(CheckpointError, match="could not be downloaded") as caught:
        load_gan("tiny")
    assert ROW.url in str(caught.value)
    assert cached(ROW) is None
    with pytest.raises(CheckpointError, match="`bozzetto gan list`"):
        load_gan("nobody")


def test_bytes_are_counted_as_they_come(shelf: Path) -> None:
    seen: list[int] = []
    path = download(ROW, on_bytes=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size


def test_nothing_but_https_is_opened_outside_of_these_tests() -> None:
    for row in PUBLISHED:
        assert row.url.startswith("https://")
    with pytest.raises(CheckpointError, match="Only https"):
        open_https("http://example.org/tiny.pkl")


def test_names_and_files_are_told_apart() -> None:
    names = [row.name for row in PUBLISHED] + [row.name for row in ZOO]
    assert len(set(names)) == len(names)
    assert len({row.remote.name for row in PUBLISHED}) == len(PUBLISHED)
    assert find_published("ffhq1024") is not None
    assert find_published("heads") is None


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_every_row_is_whole(row: Published) -> None:
    assert row.category in CATEGORIES
    assert row.kind in ("stylegan2", "stylegan3-t", "stylegan3-r")
    assert str(row.resolution) in row.name
    assert row.licence
    assert row.url.endswith(".pkl")
    assert row.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", row.sha256)


def test_the_usual_ones_are_known() -> None:
    kinds = {(row.category, row.resolution) for row in PUBLISHED if row.kind == "stylegan2"}
    assert {("face", 256), ("face", 512), ("face", 1024), ("cat", 512), ("dog", 512)} <= kinds
    assert {("car", 512), ("cat", 256), ("horse", 256), ("church", 256)} <= kinds
    assert {row.kind for row in PUBLISHED} == {"stylegan2", "stylegan3-t", "stylegan3-r"}
