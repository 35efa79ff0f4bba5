"""Makes the kept sample of the result schema that is written today: `python tests/results/kept/make_kept.py`.

A sample once kept is never made anew: it shows that what an older version wrote is still read. Raise SCHEMA_VERSION,
run this, and commit the new folder beside the old ones, with its numbers in `tests/results/test_kept.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bozzetto.pipeline import reconstruct
from bozzetto.results.folder import SCHEMA_VERSION
from tiny_run import CONFIG, INVERSION, photo, write_gan


def main() -> None:
    torch.set_num_threads(1)
    out = Path(__file__).parent / f"v{SCHEMA_VERSION}"
    if out.exists():
        sys.exit(f"{out.name} is kept already.")
    with tempfile.TemporaryDirectory() as place:
        gan = write_gan(Path(place) / "tiny.safetensors")
        made = reconstruct(photo(), str(gan), mask="none", config=CONFIG, inversion=INVERSION)
    made.save(out, formats=())


if __name__ == "__main__":
    main()
