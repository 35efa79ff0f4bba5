"""A zip archive as a stream: made while it is sent, and never whole in memory or on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

CHUNK = 2**18  # bytes


class _Pipe(io.RawIOBase):
    """A file that can only be written to, and is emptied by whoever reads."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self.pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self.pieces)
        self.pieces.clear()
        return taken


def zip_stream(folder: Path, names: Iterable[str], top: str) -> Iterator[bytes]:
    """Bytes of an archive of a folder's files, which lie in a folder `top` in it. Nothing is compressed: PNG and MP4
    are already. A file that has gone meanwhile is left out."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            try:
                source = (folder / name).open("rb")
            except OSError:
                continue
            with source, archive.open(zipfile.ZipInfo.from_file(folder / name, f"{top}/{name}"), "w") as target:
                while piece := source.read(CHUNK):
                    target.write(piece)
                    yield pipe.take()
    yield pipe.take()
