"""Makes a finding smaller while it stays the same finding, for the committed corpus.

    python tests/fuzz/fuzz_minimise.py runs/fuzz/finding-* --out tests/fuzz/corpus

Of pickles whole operations are left out, of other files runs of bytes: first halves, then quarters, and so on. The new
name says what was found and where. What no longer fails is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_guard import Outcome, Watch, outcome_of
from fuzz_mutate import operations

TRIES = 200  # a file


def smaller(data: bytes, same: Callable[[bytes], bool]) -> bytes:
    """The smallest of what was tried that is still the same."""
    parts, rest = operations(data) if data[:1] == b"\x80" else ([], data)
    pieces = [code for _, code in parts] + [rest[i : i + 1] for i in range(len(rest))]
    tries, step = TRIES, max(1, len(pieces) // 2)
    while tries > 0:
        at = 0
        while at < len(pieces) and tries > 0:
            tried = pieces[:at] + pieces[at + step :]
            tries -= 1
            if same(b"".join(tried)):
                pieces = tried
            else:
                at += step
        if step == 1:
            break
        step //= 2
    return b"".join(pieces)


def main() -> None:
    """Minimise the files that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    watch = Watch()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "input.bin"

        def outcome(data: bytes) -> Outcome:
            path.write_bytes(data or b"\0")
            return outcome_of(path, watch)

        for file in asked.files:
            data = file.read_bytes()
            outcome(data)
            wanted = outcome(data)  # the first time may load what is only loaded once
            if not wanted.finding:
                print(f"{file}: not a finding any more")
                continue
            small = smaller(data, lambda tried, place=wanted.place: outcome(tried).place == place)  # type: ignore[misc]
            words = re.sub(r"[^A-Za-z0-9]+", "-", wanted.place).strip("-").lower()[:50]
            name = f"{words}-{hashlib.sha256(small).hexdigest()[:6]}"
            (asked.out / name).write_bytes(small)
            print(f"{name}: {len(data)} -> {len(small)} bytes; {wanted.finding}")


if __name__ == "__main__":
    main()
