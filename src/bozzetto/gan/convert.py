"""Any generator that can be loaded, written as our safetensors: smaller, faster to open, with its facts inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from bozzetto.download import sha256_of
from bozzetto.gan.checkpoint import save_safetensors
from bozzetto.gan.zoo import find, load_file

StoredType = Literal["float32", "float16"]
DTYPES: dict[StoredType, torch.dtype] = {"float32": torch.float32, "float16": torch.float16}


def convert(
    name_or_path: str | Path, out: Path, dtype: StoredType = "float32", facts: Mapping[str, str] | None = None
) -> None:
    """Write the generator, its discriminator and mean latent to `out`; pictures of both files are the same.

    float16 halves the file; a tensor with values too large for it stays float32. facts (name, category, licence, ...)
    replace what the file says of itself; the source's SHA-256 is kept as `source_sha256`.
    Raises CheckpointError for what cannot be loaded, OutputError for what cannot be written.
    """
    path, row = find(name_or_path)
    loaded = load_file(path)
    known = {"name": path.stem} | dict(loaded.facts)
    if row is not None:
        known |= {"name": row.name, "category": row.category, "licence": row.licence}
    known |= {"source_sha256": sha256_of(path)} | dict(facts or {})
    save_safetensors(out, loaded.generator, loaded.discriminator, known, DTYPES[dtype], loaded.w_avg)
