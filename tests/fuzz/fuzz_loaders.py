"""Fuzzes the loaders of generators, guided by coverage: `make fuzz`.

    python tests/fuzz/fuzz_loaders.py --seconds 300 --seed 1 --out runs/fuzz

It begins with `fuzz_seeds.py` and the committed corpus and never stops at a finding: each, told apart by its place, is
kept in the folder. What kills the process (a crash of native code, 20 seconds or 4 GB for one file) ends the run, with
the file kept as well. The exit code is 1 where there was a finding, 0 otherwise. Needs Atheris (a fuzzer built on
LLVM's libFuzzer), which exists for Linux and some versions of Python; without it the reason is said in one line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

CORPUS = Path(__file__).parent / "corpus"
FINDINGS = "findings.jsonl"
MISSING = "Note: Atheris is not installed and has no build for this system; the loaders are not fuzzed."
MAX_BYTES = 100_000  # of an input
WHOLE_AGAIN = 0.4  # share of changes that begin with a whole file: what is changed often is soon refused at once


def main() -> int:
    """Run the fuzzer in a process of its own and tell what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's own choices")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return fuzz(asked.out, asked.seconds, asked.seed)
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(MISSING)
        return 0
    return run(asked.out, asked.seconds, asked.seed)


def run(out: Path, seconds: int, seed: int) -> int:
    """Start the fuzzer, wait for its end, tell figures and findings."""
    out.mkdir(parents=True, exist_ok=True)
    (out / FINDINGS).unlink(missing_ok=True)
    for name in ("crash-*", "timeout-*", "oom-*"):
        for old in out.glob(name):
            old.unlink()
    words = [sys.executable, __file__, "--child", "--out", str(out), "--seconds", str(seconds), "--seed", str(seed)]
    began = time.monotonic()
    with (out / "log.txt").open("wb") as log:
        code = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT).returncode
    text = (out / "log.txt").read_text("utf-8", "replace")
    figures = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+)", text) or [("0", "0")]
    rows = (out / FINDINGS).read_text("utf-8").splitlines() if (out / FINDINGS).exists() else []
    found = [json.loads(line) for line in rows]
    killers = sorted(path.name for name in ("crash-*", "timeout-*", "oom-*") for path in out.glob(name))
    for row in found:
        print(f"{row['file']}: {row['finding']} ({row['place']})")
    for name in killers:
        print(f"{name}: ended the process; see {out / 'log.txt'}")
    if code and not killers:
        print(f"The fuzzer ended with code {code}; see {out / 'log.txt'}.")
    print(
        f"{figures[-1][0]} files in {time.monotonic() - began:.0f} s, {figures[-1][1]} places of the code reached, "
        f"{len(found) + len(killers)} findings (seed {seed})"
    )
    return 1 if found or killers or code else 0


def fuzz(out: Path, seconds: int, seed: int) -> int:
    """The process that fuzzes; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["bozzetto"]):
        import bozzetto.gan.zoo  # noqa: F401

    from fuzz_guard import Watch, outcome_of
    from fuzz_mutate import mutated
    from fuzz_seeds import seeds

    inputs, path, watch = out / "inputs", out / "input.bin", Watch()
    inputs.mkdir(exist_ok=True)
    for name, data in seeds().items():
        (inputs / name).write_bytes(data)
        path.write_bytes(data)
        for _ in range(2):  # the first time loads what is only loaded once
            whole = outcome_of(path, watch)
        assert whole.loaded, (name, whole)
    known: set[str] = set()
    whole_files = [data for data in seeds().values() if len(data) <= MAX_BYTES]

    def one(data: bytes) -> None:
        path.write_bytes(data)
        outcome = outcome_of(path, watch)
        if not outcome.finding or outcome.place in known:
            return
        known.add(outcome.place)
        name = f"finding-{hashlib.sha256(data).hexdigest()[:12]}"
        (out / name).write_bytes(data)
        with (out / FINDINGS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"file": name, "finding": outcome.finding, "place": outcome.place}) + "\n")

    def change(data: bytes, max_size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < WHOLE_AGAIN:
            data = rng.choice(whole_files)
        return mutated(data, rng, lambda b: bytes(atheris.Mutate(b, max_size)))[:max_size]

    words: list[Any] = [sys.argv[0], f"-seed={seed}", f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}"]
    words += ["-timeout=20", "-rss_limit_mb=4096", "-len_control=0", "-use_value_profile=0", f"-artifact_prefix={out}/"]
    words += [str(inputs), str(CORPUS)]
    atheris.Setup(words, one, custom_mutator=change)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
