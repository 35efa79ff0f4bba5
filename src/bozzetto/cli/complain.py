"""How the command line says that something is wrong."""

from __future__ import annotations

import sys


def complain(sentence: str) -> None:
    """One sentence on stderr, in one line."""
    sys.stderr.write(f"bozzetto: {printable(sentence)}\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """The text with line breaks, terminal codes and what else cannot be seen written out: names of files hold them."""
    return "".join(c if c == " " or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
