"""How the command line says that something is wrong."""

from __future__ import annotations

import sys


def complain(sentence: str) -> None:
    """One sentence on stderr."""
    sys.stderr.write(f"bozzetto: {sentence}\n")
    sys.stderr.flush()
