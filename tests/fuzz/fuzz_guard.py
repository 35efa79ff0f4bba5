"""Loads one file as `bozzetto gan inspect` would, and tells what came of it: a generator, a sentence, or a finding.

A finding is any of these: another exception than a BozzettoError; a complaint that is not one short line; code run, a
module imported, a process started, a network asked, a file written (all told by the interpreter's own audit events);
more memory than a file of that size explains.
"""

from __future__ import annotations

import codecs
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

LONGEST = 500  # characters of a complaint
MEMORY_MB = 64  # that loading may take
PER_BYTE = 16  # more than that, for every byte of the file

# Events of the interpreter (Python's documentation, "Audit events table") that loading a file has no reason for.
FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess."),
    *("pty.spawn", "socket.", "ctypes.", "exec", "compile", "import", "pickle.find_class", "marshal.", "urllib."),
    *("os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "shutil."),
    *("tempfile.", "builtins.input", "code.__new__", "sys.addaudithook", "webbrowser.", "http.", "ftplib.", "sqlite3."),
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Outcome:
    """What came of one file. finding: empty if nothing is wrong; place: where, to tell findings apart."""

    loaded: bool
    sentence: str
    finding: str = ""
    place: str = ""


class Watch:
    """Hears the interpreter's audit events while it is armed. There is one a process: hooks cannot be taken off."""

    def __init__(self) -> None:
        self.armed = False
        self.heard: list[str] = []
        for name in ("cp437", "raw_unicode_escape"):  # of names in zips, and old text; loaded at first use
            codecs.lookup(name)
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event == "open":
            mode, flags = str(args[1] or ""), args[2] if isinstance(args[2], int) else 0
            if not set(mode) & set("wax+") and not flags & _WRITES:
                return
        elif not event.startswith(FORBIDDEN):
            return
        self.heard.append(f"{event} {args[0] if args else ''!r}"[:200])


def loaded(path: Path) -> None:
    """All that a command does with a generator file before it is used."""
    from bozzetto.gan.zoo import open_gan

    open_gan(path)


def outcome_of(path: Path, watch: Watch, load: Callable[[Path], None] = loaded) -> Outcome:
    """Load one file under guard."""
    from bozzetto.errors import BozzettoError

    size, before = path.stat().st_size, reset_peak_kb()
    watch.heard.clear()
    sentence, fault, place = "", "", ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        watch.armed = True
        try:
            load(path)
        except BozzettoError as error:
            sentence = str(error)
        except Exception as error:
            fault = f"{type(error).__name__}: {str(error)[:200]}"
            place = _place(error)
        finally:
            watch.armed = False
    grown_mb = (peak_kb() - before) / 1024
    if watch.heard:
        fault, place = f"asked the system for {watch.heard[0]}", watch.heard[0]
    elif not fault and grown_mb > MEMORY_MB + PER_BYTE * size / 2**20:
        fault, place = f"took {grown_mb:.0f} MB", f"memory {sentence[:20]}"
    elif sentence and not (sentence.isprintable() and sentence.endswith(".") and len(sentence) <= LONGEST):
        fault, place = f"complained in other than a short line: {sentence[:200]!r}", f"sentence {sentence[:12]!r}"
    return Outcome(not sentence and not fault, sentence, fault, place)


def _place(error: BaseException) -> str:
    """Kind of the error and the innermost line of ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "bozzetto" in frame.filename]
    last = frames[-1] if frames else None
    return f"{type(error).__name__} {Path(last.filename).name}:{last.lineno}" if last else type(error).__name__


# -- memory: Linux tells the peak since it was last reset, other systems that of the whole process --------------------


def reset_peak_kb() -> int:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    return peak_kb()


def peak_kb() -> int:
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        if resource is None:
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
