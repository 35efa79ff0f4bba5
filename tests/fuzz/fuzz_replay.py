"""Loads files in a process of its own, as `fuzz_guard` does, and prints one JSON line of what came of each.

    python tests/fuzz/fuzz_replay.py FILE...

The process may use no more than 8 GB and 20 seconds of the processor a file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_guard import Watch, outcome_of, resource

SECONDS, BYTES = 20, 8 * 2**30


def main() -> None:
    """Every file twice: the first time may load what is only loaded once."""
    watch = Watch()
    with contextlib.suppress(ValueError, OSError, AttributeError):  # not on every system
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for name in sys.argv[1:]:
        outcome_of(Path(name), watch)
        limit = int(time.process_time()) + SECONDS
        if resource is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        outcome = outcome_of(Path(name), watch)
        print(json.dumps({"name": Path(name).name, **dataclasses.asdict(outcome)}), flush=True)


if __name__ == "__main__":
    main()
