"""Downloads are whole, checked, bounded and https, or they are not there at all."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from bozzetto.download import ByteStream, RemoteFile, _HttpsRedirects, cache_dir, fetch, open_https, sha256_of
from bozzetto.errors import CheckpointError

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
URL = "https://example.org/weights.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOZZETTO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def serve(content: bytes) -> Callable[[str], ByteStream]:
    return lambda url: io.BytesIO(content)


def fail(error: Exception) -> Callable[[str], ByteStream]:
    def open_url(url: str) -> ByteStream:
        raise error

    return open_url


def remote(**changes: object) -> RemoteFile:
    settings: dict = {"name": "weights.pth", "url": URL, "max_bytes": 1 << 20, "sha256": DIGEST, **changes}
    return RemoteFile(**settings)


def leftovers(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.iterdir()) if cache.exists() else []


def test_download_then_cache(cache: Path) -> None:
    path = fetch(remote(), serve(CONTENT))
    assert path == cache / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert sha256_of(path) == DIGEST
    assert fetch(remote(), fail(AssertionError("not asked again"))) == path
    assert leftovers(cache) == ["weights.pth", "weights.pth.sha256"]


@pytest.mark.parametrize(
    "known",
    [{"sha256": "0" * 64}, {"sha256": None, "sha256_prefix": "00000000"}, {"sha256_prefix": "00000000"}],
)
def test_another_file_is_refused(known: dict, cache: Path) -> None:
    with pytest.raises(CheckpointError, match="not the published file"):
        fetch(remote(**known), serve(CONTENT))
    assert leftovers(cache) == []


def test_a_file_known_by_its_prefix_is_recorded_at_first_use(cache: Path) -> None:
    known = remote(sha256=None, sha256_prefix=DIGEST[:8].upper())
    path = fetch(known, serve(CONTENT))
    assert (cache / "weights.pth.sha256").read_text().strip() == DIGEST
    path.write_bytes(b"changed")
    with pytest.raises(CheckpointError, match=DIGEST):
        fetch(known, serve(CONTENT))


def test_a_file_damaged_in_the_cache_is_noticed() -> None:
    path = fetch(remote(), serve(CONTENT))
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(CheckpointError, match="delete"):
        fetch(remote(), serve(CONTENT))


def test_a_file_put_there_by_hand_is_checked_and_used(cache: Path) -> None:
    cache.mkdir()
    (cache / "weights.pth").write_bytes(CONTENT)
    assert fetch(remote(), fail(AssertionError("not asked"))).read_bytes() == CONTENT


def test_too_long_an_answer_is_refused(cache: Path) -> None:
    with pytest.raises(CheckpointError, match="more than the 100 bytes"):
        fetch(remote(max_bytes=100), serve(CONTENT))
    assert leftovers(cache) == []


class Broken(io.BytesIO):
    """An http answer that ends before the length it promised; `length` counts what is still to come."""

    length = 7


def test_a_broken_off_answer_is_refused(cache: Path) -> None:
    with pytest.raises(CheckpointError, match="broke off"):
        fetch(remote(), lambda url: Broken(CONTENT))
    assert leftovers(cache) == []


@pytest.mark.parametrize("error", [urllib.error.URLError("no route to host"), TimeoutError("timed out")])
def test_without_a_network_the_message_says_where_to_put_the_file(error: Exception, cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        fetch(remote(), fail(error))
    assert URL in str(caught.value)
    assert str(cache / "weights.pth") in str(caught.value)
    assert leftovers(cache) == []


@pytest.mark.parametrize("url", ["http://example.org/w", "file:///etc/passwd", "ftp://example.org/w", "weights.pth"])
def test_only_https(url: str) -> None:
    with pytest.raises(CheckpointError, match="Only https"):
        open_https(url)
    with pytest.raises(CheckpointError, match="Only https"):
        fetch(remote(url=url))
    with pytest.raises(CheckpointError, match="Only https"):
        _HttpsRedirects().redirect_request(None, None, 302, "Found", {}, url)


def test_a_cache_that_cannot_be_made_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BOZZETTO_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(CheckpointError, match="BOZZETTO_CACHE"):
        fetch(remote(), serve(CONTENT))


def test_cache_folder_of_each_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == Path(os.environ["BOZZETTO_CACHE"])
    monkeypatch.delenv("BOZZETTO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_dir() == tmp_path / "xdg" / "bozzetto"
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache_dir() == tmp_path / "local" / "bozzetto" / "cache"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "bozzetto"
