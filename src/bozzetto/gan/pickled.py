"""Generators that come as a pickle or a torch.save file: read once as plain data, then known by what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bozzetto.errors import CheckpointError
from bozzetto.gan.checkpoint import LoadedGan
from bozzetto.gan.from_nvlabs import is_nvlabs, load_nvlabs
from bozzetto.gan.from_rosinality import is_rosinality, load_rosinality
from bozzetto.gan.from_tensorflow import is_tensorflow, load_tensorflow
from bozzetto.gan.restricted_pickle import read_pickle
from bozzetto.gan.torch_archive import ZIP_HEAD


@dataclass(frozen=True)
class Content:
    """What a pickle may hold: how to know it, and how to make networks of it (the file's name is for complaints)."""

    name: str
    knows: Callable[[object], bool]
    load: Callable[[Any, str], LoadedGan]


# Asked in this order. A further kind of checkpoint is a further row.
CONTENTS: tuple[Content, ...] = (
    Content("rosinality's StyleGAN2 .pt", is_rosinality, load_rosinality),
    Content("NVIDIA's StyleGAN2-ADA and StyleGAN3 .pkl", is_nvlabs, load_nvlabs),
    Content("StyleGAN2 .pkl of the TensorFlow era", is_tensorflow, load_tensorflow),
)


def is_pickled(head: bytes) -> bool:
    """True for the first bytes of a torch zip archive or of a pickle of protocol 2 to 5 (torch's old format too)."""
    return head.startswith(ZIP_HEAD) or (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"))


def load_pickled(path: Path) -> LoadedGan:
    """Networks of whatever known checkpoint the file holds. Raises CheckpointError, one sentence."""
    value = read_pickle(path)
    for content in CONTENTS:
        if content.knows(value):
            return content.load(value, path.name)
    known = ", ".join(content.name for content in CONTENTS)
    raise CheckpointError(f"The file {path.name} is a pickle, but no generator this program knows ({known}).")
