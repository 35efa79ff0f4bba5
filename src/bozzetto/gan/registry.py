"""Published generators by name: where they are, what is known of their content, and what they may be used for.

Addresses and names are those of the publishers' pages (the NVlabs repositories stylegan2, stylegan2-ada-pytorch and
stylegan3). The publishers name no hashes. A row has one where at least two public places that do not copy from each
other name the same for this file; the others are recorded at the first download (`download.fetch`), and every later
use must find the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bozzetto.download import ByteStream, RemoteFile, cache_dir, fetch

log = logging.getLogger(__name__)

MAX_BYTES = 500_000_000  # the largest has 382 million
NVIDIA = "NVIDIA Source Code License, non-commercial use only"
FFHQ = f"{NVIDIA}; trained on FFHQ, CC BY-NC-SA 4.0"
METFACES = f"{NVIDIA}; trained on MetFaces, CC BY-NC 2.0"
AFHQ = f"{NVIDIA}; trained on AFHQ, CC BY-NC 4.0"
CELEBA = f"{NVIDIA}; trained on CelebA-HQ, non-commercial research only"
LSUN = f"{NVIDIA}; trained on LSUN, for research"

ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
FIRST = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/"
TWO = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
THREE = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan3/versions/1/files/"


@dataclass(frozen=True)
class Published:
    """A generator that somebody else published."""

    name: str
    kind: str  # "stylegan2", "stylegan3-t", "stylegan3-r"
    resolution: int  # px
    category: str  # of this program's; "object" where none fits
    url: str
    licence: str
    sha256: str | None = None  # None: not known before the first download

    @property
    def remote(self) -> RemoteFile:
        """The file to fetch, under the publisher's name."""
        name = self.url.rpartition("/")[2]
        return RemoteFile(name, self.url, MAX_BYTES, sha256=self.sha256, licence=self.licence)


def _three(config: str) -> tuple[Published, ...]:
    kind = f"stylegan3-{config}"
    rows = (
        ("ffhq1024", 1024, "face", "ffhq-1024x1024", FFHQ),
        ("ffhqu1024", 1024, "face", "ffhqu-1024x1024", FFHQ),
        ("ffhqu256", 256, "face", "ffhqu-256x256", FFHQ),
        ("metfaces1024", 1024, "face", "metfaces-1024x1024", METFACES),
        ("metfacesu1024", 1024, "face", "metfacesu-1024x1024", METFACES),
        ("afhqv2-512", 512, "object", "afhqv2-512x512", AFHQ),
    )
    return tuple(
        Published(f"{kind}-{name}", kind, size, category, f"{THREE}{kind}-{file}.pkl", licence)
        for name, size, category, file, licence in rows
    )


PUBLISHED: tuple[Published, ...] = (
    Published("ffhq256", "stylegan2", 256, "face", f"{TWO}stylegan2-ffhq-256x256.pkl", FFHQ),
    Published("ffhq512", "stylegan2", 512, "face", f"{TWO}stylegan2-ffhq-512x512.pkl", FFHQ),
    Published(
        "ffhq1024",
        "stylegan2",
        1024,
        "face",
        f"{ADA}ffhq.pkl",
        FFHQ,
        "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c",
    ),
    Published("ffhqu256", "stylegan2", 256, "face", f"{TWO}stylegan2-ffhqu-256x256.pkl", FFHQ),
    Published("ffhqu1024", "stylegan2", 1024, "face", f"{TWO}stylegan2-ffhqu-1024x1024.pkl", FFHQ),
    Published("metfaces1024", "stylegan2", 1024, "face", f"{ADA}metfaces.pkl", METFACES),
    Published("celebahq256", "stylegan2", 256, "face", f"{TWO}stylegan2-celebahq-256x256.pkl", CELEBA),
    Published("afhqcat512", "stylegan2", 512, "cat", f"{ADA}afhqcat.pkl", AFHQ),
    Published("afhqdog512", "stylegan2", 512, "dog", f"{ADA}afhqdog.pkl", AFHQ),
    Published("afhqwild512", "stylegan2", 512, "object", f"{ADA}afhqwild.pkl", AFHQ),
    Published("afhqv2-512", "stylegan2", 512, "object", f"{TWO}stylegan2-afhqv2-512x512.pkl", AFHQ),
    Published(
        "lsuncar512",
        "stylegan2",
        512,
        "car",
        f"{FIRST}stylegan2-car-config-f.pkl",
        LSUN,
        "e1618eee2b3ce87c4a3849442f7850ef12a478556bff035c8e09ee7e23b3794c",
    ),
    Published(
        "lsuncat256",
        "stylegan2",
        256,
        "cat",
        f"{FIRST}stylegan2-cat-config-f.pkl",
        LSUN,
        "08940fd616cfaf6bc7b0286b5d1a0b3f70febb26e136d64716c8d3f5e9bd3883",
    ),
    Published(
        "lsunchurch256",
        "stylegan2",
        256,
        "church",
        f"{FIRST}stylegan2-church-config-f.pkl",
        LSUN,
        "4090c5f83b44b83475c84864188aa39a0fb72694492302b7e6af36aad0d18104",
    ),
    Published(
        "lsunhorse256",
        "stylegan2",
        256,
        "horse",
        f"{FIRST}stylegan2-horse-config-f.pkl",
        LSUN,
        "cbc73372c7d82d095913ca8b4b9f170560777175bd7c3b8a75dd55d70807f32b",
    ),
    Published("lsundog256", "stylegan2", 256, "dog", f"{TWO}stylegan2-lsundog-256x256.pkl", LSUN),
    *_three("t"),
    *_three("r"),
)


def find_published(name: str) -> Published | None:
    """The row of a name, or None."""
    return next((row for row in PUBLISHED if row.name == name), None)


def cached(row: Published) -> Path | None:
    """Where the file lies if it was downloaded."""
    path = cache_dir() / row.remote.name
    return path if path.is_file() else None


def recorded_sha256(row: Published) -> str | None:
    """The hash that the file must have: the published one, or that of the first download; None before it."""
    record = cache_dir() / f"{row.remote.name}.sha256"
    return row.sha256 or (record.read_text().strip() if record.is_file() else None)


def download(
    row: Published, open_url: Callable[[str], ByteStream] | None = None, on_bytes: Callable[[int], None] | None = None
) -> Path:
    """Path of the file in the cache, downloaded first if it is not there. Raises CheckpointError as `fetch` does.

    A download says what the file may be used for, and whether its content could be checked.
    """
    new = cached(row) is None
    if new:
        log.warning("%s (%s): %s.", row.name, row.url, row.licence)
    path = fetch(row.remote, open_url, on_bytes)
    if new and row.sha256 is None:
        log.warning(
            "No hash of %s is known beforehand, so it was trusted this once; its SHA-256 %s is kept in the cache and "
            "checked at every later use.",
            path.name,
            recorded_sha256(row),
        )
    return path
