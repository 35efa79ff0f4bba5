"""Fetching published weight files to the user's cache folder, checked by SHA-256, over https only."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bozzetto.disk import clear, put_in_place, require_plain
from bozzetto.errors import CheckpointError

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0


@runtime_checkable
class ByteStream(Protocol):
    """What a download is read from; closed by leaving its `with` block."""

    def read(self, size: int, /) -> bytes: ...

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> Any: ...


@dataclass(frozen=True)
class RemoteFile:
    """A published file. What is known of its SHA-256 is checked; nothing is made up.

    Where the publisher names the full hash it stands in `sha256`; where only its first digits are part of the
    published file name they stand in `sha256_prefix`. The full hash of a file accepted by its prefix is recorded
    beside it at first use, and every later use must find the same.
    """

    name: str  # in the cache folder
    url: str
    max_bytes: int  # a longer answer is refused
    sha256: str | None = None
    sha256_prefix: str = ""
    licence: str = ""


def cache_dir() -> Path:
    """Where downloads live: BOZZETTO_CACHE if set, else the platform's cache folder. Not created here."""
    chosen = os.environ.get("BOZZETTO_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "bozzetto" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bozzetto"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "bozzetto"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as 64 lower-case hex digits. Raises OSError, also for what is no plain file."""
    require_plain(path)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(
    remote: RemoteFile,
    open_url: Callable[[str], ByteStream] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Path:
    """Path of the file in the cache, downloaded first if it is not there; its hash is checked at every use.

    Args:
        open_url: opens the URL for reading bytes; by default https with verified certificates.
        on_bytes: hears how many bytes have come so far.
    Raises:
        CheckpointError: no network, too long, or not the published file. Nothing half-written is left behind.
    """
    path = cache_dir() / remote.name
    try:
        if not path.is_file():
            _download(remote, path, open_url or open_https, on_bytes)
        found = sha256_of(path)
        _verify(remote, path, found)
        _record(path, found)
    except OSError as error:
        raise CheckpointError(
            f"The cache folder {path.parent} cannot be used ({error.strerror or error}); "
            "set BOZZETTO_CACHE to a folder that can be written."
        ) from error
    return path


def open_https(url: str) -> ByteStream:
    """Open a URL, following redirects to https only."""
    _require_https(url)
    opener = urllib.request.build_opener(_HttpsRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": "bozzetto"})
    return opener.open(request, timeout=TIMEOUT_S)


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme != "https":
        raise CheckpointError(f"Only https downloads are allowed, and this is not one: {url}.")


def _download(
    remote: RemoteFile,
    path: Path,
    open_url: Callable[[str], ByteStream],
    on_bytes: Callable[[int], None] | None,
) -> None:
    """Stream to a temporary name in the cache folder, check the hash, and only then give the file its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary_name = tempfile.mkstemp(prefix=f".{remote.name}.", suffix=".part", dir=path.parent)
    temporary = Path(temporary_name)
    try:
        with os.fdopen(handle, "wb") as target:
            try:
                with open_url(remote.url) as stream:
                    _copy(remote, stream, target, on_bytes)
            except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
                reason = getattr(error, "reason", None) or error
                raise CheckpointError(
                    f"{remote.name} could not be downloaded ({reason}); without a network, fetch {remote.url} "
                    f"elsewhere and put it at {path}."
                ) from error
        _verify(remote, temporary, sha256_of(temporary))
        put_in_place(temporary, path)
    finally:
        clear([temporary])


def _copy(
    remote: RemoteFile, stream: ByteStream, target: io.BufferedWriter, on_bytes: Callable[[int], None] | None
) -> None:
    received = 0
    while chunk := stream.read(CHUNK_BYTES):
        received += len(chunk)
        if received > remote.max_bytes:
            raise CheckpointError(
                f"{remote.url} sends more than the {remote.max_bytes} bytes that {remote.name} may have; "
                "it is not the published file."
            )
        target.write(chunk)
        if on_bytes is not None:
            on_bytes(received)
    expected = getattr(stream, "length", None)  # what http still waits for; None when the server named no length
    if expected:
        raise CheckpointError(f"The download of {remote.name} broke off after {received} bytes; try again.")


def _verify(remote: RemoteFile, path: Path, found: str) -> None:
    """Raise CheckpointError if the hash found is not what is known of the file."""
    record = _record_path(path)
    recorded = record.read_text().strip() if record.is_file() else ""
    wanted = remote.sha256 or recorded or remote.sha256_prefix
    if not found.startswith(wanted.lower()) or not found.startswith(remote.sha256_prefix.lower()):
        raise CheckpointError(
            f"{path.name} is not the published file: its SHA-256 is {found} and should begin with "
            f"{wanted}; delete {path} and try again."
        )


def _record(path: Path, found: str) -> None:
    """Keep the full hash beside the file, so that it cannot change unseen after its first use."""
    record = _record_path(path)
    if not record.is_file():
        handle, name = tempfile.mkstemp(prefix=f".{record.name}.", dir=path.parent)
        with os.fdopen(handle, "w") as target:
            target.write(found + "\n")
        os.replace(name, record)


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
