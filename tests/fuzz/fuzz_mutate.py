"""Changes to files that keep them nearly whole, so that what lies behind checksums and lengths is reached too.

A zip is changed inside and packed again; of a pickle single operations are changed, not bytes; of a safetensors file
the header's JSON is. Every choice comes from the given random generator.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = random.Random

# -- values that code which expects another one may trip over ---------------------------------------------------------

NUMBERS = (0, 1, -1, 2, 3, 4, 8, 17, 100, 255, 256, 1023, 1024, 2**15, 2**31 - 1, 2**31, 2**40, 2**63, -(2**63), 10**30)
FLOATS = (0.0, -0.0, 0.5, 1.5, -1.0, 1e-300, 1e300, math.inf, -math.inf, math.nan)
TEXTS = ("", "a", "module.", "a\nb", "\x1b[31m", "x" * 300, "lrelu", "Generator", "Discriminator", "../x", "\ud800")


def _pushed(value: Any) -> bytes:
    """Operations that push a value, without memorising what is not used again."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]


def _array(shape: tuple[int, ...], dtype: Any) -> bytes:
    return _pushed(np.ones(shape, dtype))


_PUSHES: tuple[bytes, ...] = (
    *(_pushed(n) for n in (*NUMBERS, *FLOATS)),
    *(_pushed(text) for text in TEXTS[:-1]),
    *(_pushed(value) for value in (None, True, False, (), [], {}, set(), b"", b"ab", [1, 2], (1, 2), {"a": 1}, {1: 2})),
    *(_pushed(value) for value in ([[[]]], (None,), [None] * 20, {"_parameters": {}}, [0.5] * 6, {"bias": None})),
    *(_array(shape, kind) for shape in ((), (0,), (1,), (2,), (17,), (4, 4)) for kind in (np.float32, np.int64, "?")),
    *(b"c" + name + b"\n" for name in (b"torch\nFloatStorage", b"some\nClass", b"os\nsystem", b"builtins\neval")),
    b"csome\nClass\n)\x81",
    b"csome\nClass\n)\x81}b",
)
_OPERATIONS: tuple[bytes, ...] = tuple(
    bytes([code]) for code in b"()]}.0123NabeosutRQl\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"
)
_SINGLE = frozenset(
    [
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "BINGET"),
        *("LONG_BINGET", "SHORT_BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "BINBYTES", "SHORT_BINBYTES"),
        *("SHORT_BINSTRING", "BINSTRING", "GLOBAL"),
    ]
)

_UNICODE = frozenset(("BINUNICODE", "SHORT_BINUNICODE"))
_PUTS = frozenset(("BINPUT", "LONG_BINPUT", "MEMOIZE"))
_OPCODES = {opcode.name: opcode for opcode in pickletools.opcodes}

# -- pickles ----------------------------------------------------------------------------------------------------------


def operations(data: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Name and bytes of the operations of the pickles that lie one behind another, and the rest."""
    found: list[tuple[str, bytes]] = []
    end = 0
    while end < len(data) and len(found) < 100_000:
        rows: list[tuple[str, int]] = []
        try:
            for opcode, _, place in pickletools.genops(data[end:]):
                rows.append((opcode.name, end + (place or 0)))
        except Exception:
            rows = rows[:-1]
        if not rows or rows[-1][0] != "STOP":
            break
        ends = [place for _, place in rows[1:]] + [rows[-1][1] + 1]
        found += [(name, data[a:b]) for (name, a), b in zip(rows, ends, strict=True)]
        end = ends[-1]
    return found, data[end:]


def _pickle(data: bytes, rng: Rng) -> bytes:
    parts, rest = operations(data)
    if len(parts) < 3:
        return _bytes(data, rng)
    parts = [part for part in parts if part[0] != "FRAME"]  # their lengths would no longer be true
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_WAYS)(parts, rng)
    return b"".join(code for _, code in parts) + (rest if rng.random() < 0.95 else _bytes(rest, rng))


Parts = list[tuple[str, bytes]]


def _places(parts: Parts, kinds: frozenset[str]) -> list[int]:
    return [i for i, (name, _) in enumerate(parts) if name in kinds] or [0]


def _replace(parts: Parts, rng: Rng) -> None:
    """Push another value; now and then one of the file's own."""
    places = _places(parts, _SINGLE)
    parts[rng.choice(places)] = ("NONE", rng.choice(_PUSHES)) if rng.random() < 0.8 else parts[rng.choice(places)]


def _replace_named(parts: Parts, rng: Rng) -> None:
    """Push another value behind a name. Every name is as likely as any other, however often it occurs.

    The old value is made, memorised and dropped, so that what refers to its parts later still finds them.
    """
    named = _after_names(parts)
    if not named:
        return
    start = rng.choice(named[rng.choice(list(named))])
    end = _end_of_value(parts, start)
    memorised = sum(name in _PUTS for name, _ in parts[:start])
    if memorised and rng.random() < 0.2:
        push = b"j" + struct.pack("<I", rng.randrange(memorised))
    else:
        push = rng.choice(_PUSHES)
    parts.insert(end + 1, ("POP", b"0" + push))


def _end_of_value(parts: Parts, start: int) -> int:
    """Index of the last operation that belongs to the value which begins at `start`."""
    depth, marks, end = 0, [], start
    for i in range(start, min(start + 3000, len(parts))):
        opcode = _OPCODES.get(parts[i][0])
        if opcode is None:
            break
        before, after = opcode.stack_before, opcode.stack_after
        if pickletools.markobject in before:
            if not marks:
                break
            below = before.index(pickletools.markobject)
            depth = marks.pop() - below
        else:
            depth -= len(before)
        if depth < 0:
            break
        if opcode.name == "MARK":
            marks.append(depth)
        else:
            depth += len(after)
        if depth == 1 and not marks:
            end = i
    return end


def _after_names(parts: Parts) -> dict[bytes, list[int]]:
    """Text -> places of the single pushes that follow it, where it is memorised and pushed again too."""
    memo: dict[bytes, bytes] = {}
    found: dict[bytes, list[int]] = {}
    text, count = None, 0
    for i, (name, code) in enumerate(parts):
        if name in _PUTS:
            key = b"%d" % count if name == "MEMOIZE" else b"%d" % int.from_bytes(code[1:], "little")
            count += 1
            if text is not None:
                memo[key] = text
            continue
        if text is not None:
            found.setdefault(text, []).append(i)
        if name in _UNICODE:
            text = code[5:] if name == "BINUNICODE" else code[2:]
        elif name in ("BINGET", "LONG_BINGET"):
            text = memo.get(b"%d" % int.from_bytes(code[1:], "little"))
        else:
            if name == "STACK_GLOBAL" and found:  # what it names is no value
                for places in found.values():
                    places[:] = [place for place in places if place < i - 3]
            text = None
    return {text: places for text, places in found.items() if places}


def _other_text(parts: Parts, rng: Rng) -> None:
    """A name that is nearly the same: one character more, less or other."""
    at = rng.choice(_places(parts, _UNICODE))
    name, code = parts[at]
    if name not in _UNICODE:
        return
    text = code[5:] if name == "BINUNICODE" else code[2:]
    text = text + rng.choice((b"x", b"1", b".", b"\n")) if rng.random() < 0.5 else text[: rng.randrange(len(text) + 1)]
    parts[at] = ("BINUNICODE", b"X" + struct.pack("<I", len(text)) + text)


def _swap(parts: Parts, rng: Rng) -> None:
    a, b = rng.choice(_places(parts, _SINGLE)), rng.choice(_places(parts, _SINGLE))
    parts[a], parts[b] = parts[b], parts[a]


def _delete(parts: Parts, rng: Rng) -> None:
    at = rng.randrange(len(parts))
    del parts[at : at + rng.choice((1, 1, 2, 8))]
    parts or parts.append(("STOP", b"."))


def _repeat(parts: Parts, rng: Rng) -> None:
    at, length, to = rng.randrange(len(parts)), rng.choice((1, 2, 8, 40)), rng.randrange(len(parts))
    parts[to:to] = parts[at : at + length]


def _insert(parts: Parts, rng: Rng) -> None:
    parts.insert(rng.randrange(len(parts)), ("NONE", rng.choice(_OPERATIONS + _PUSHES)))


_WAYS = (*[_replace_named] * 6, _replace, _replace, _other_text, _swap, _delete, _repeat, _insert)

# -- zips -------------------------------------------------------------------------------------------------------------


def _zip(data: bytes, rng: Rng) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            entries = [(info.filename, old.read(info)) for info in old.infolist()]
    except Exception:
        return _bytes(data, rng)
    at = next((i for i, (name, _) in enumerate(entries) if name.endswith("data.pkl")), 0)
    if rng.random() < 0.2:
        at = rng.randrange(len(entries))
    name, content = entries[at]
    choice = rng.random()
    if choice < 0.85:
        entries[at] = (name, _pickle(content, rng) if name.endswith(".pkl") else _bytes(content, rng))
    elif choice < 0.9:
        del entries[rng.randrange(len(entries))]
    elif choice < 0.95:
        entries[rng.randrange(len(entries))] = (name + rng.choice(("", "x", "/", "/..", "\\")), content)
    else:
        entries.append((rng.choice(("archive/x", "x", "archive/data/99", "archive/byteorder")), rng.choice(_PUSHES)))
    return zipped(entries or [("archive/data.pkl", b"N.")])


def zipped(entries: list[tuple[str, bytes]]) -> bytes:
    """An archive of these, as small as it can be and the same every time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, content in entries:
            new.writestr(zipfile.ZipInfo(name[:500] or "x"), content)
    return out.getvalue()


# -- safetensors ------------------------------------------------------------------------------------------------------

_JSONS: tuple[Any, ...] = (
    *NUMBERS, *FLOATS, *TEXTS[:-1], None, True, [], {}, [1, 2], {"4": 2}, {"a": None}, [[]], "1e5", "-1", "Infinity",
    *("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I8", "U8", "U64", "BOOL", "C64"),
    *([0], [0, 0], [2**62, 4], [1] * 40, [-1], [0, 2**40]),
)  # fmt: skip


def _safe(data: bytes, rng: Rng) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        return _bytes(data, rng)
    for _ in range(rng.choice((1, 1, 2))):
        header = _json(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _json(value: Any, rng: Rng) -> Any:
    """The value with one thing in it changed, in JSON that is stored as text too."""
    if isinstance(value, str) and value[:1] in ("{", "[") and rng.random() < 0.9:
        try:
            return json.dumps(_json(json.loads(value), rng))
        except (ValueError, RecursionError):
            return rng.choice(_JSONS)
    if isinstance(value, dict) and value and rng.random() < 0.95:
        key = rng.choice([*value, *(["__metadata__"] * (3 if "__metadata__" in value else 0))])
        value = dict(value)
        kind = rng.random()
        if kind < 0.06:
            del value[key]
        elif kind < 0.12:
            value[rng.choice((f"{key}x", key[:-1], *value))] = value.pop(key)
        elif kind < 0.15:
            value[rng.choice(("x", "clamp", "num_classes", "discriminator_spec"))] = rng.choice(_JSONS)
        else:
            value[key] = _json(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        value = list(value)
        at = rng.randrange(len(value))
        kind = rng.random()
        if kind < 0.1:
            del value[at]
        elif kind < 0.2:
            value.insert(at, value[at])
        else:
            value[at] = _json(value[at], rng)
        return value
    return rng.choice(_JSONS)


# -- anything ---------------------------------------------------------------------------------------------------------


def _bytes(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, kind = rng.randrange(len(changed)), rng.random()
        if kind < 0.4:
            changed[at] = rng.randrange(256)
        elif kind < 0.6:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind < 0.7:
            changed[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"\xff\xff\xff\x7f"))
        elif kind < 0.8:
            del changed[at : at + rng.choice((1, 4, 100))]
        elif kind < 0.9:
            changed[at:at] = changed[at : at + rng.choice((1, 4, 100))]
        else:
            del changed[at:]
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def mutated(data: bytes, rng: Rng, blind: Callable[[bytes], bytes] | None = None, anywhere: float = 0.05) -> bytes:
    """The file with something changed.

    blind: a change of bytes that knows nothing of formats, made in the share `anywhere` of cases; None: one of ours.
    """
    if rng.random() < anywhere:
        return (blind or (lambda b: _bytes(b, rng)))(data)
    if data.startswith(b"PK\x03\x04"):
        return _zip(data, rng)
    if data[:1] == b"\x80":
        return _pickle(data, rng)
    if data[8:9] == b"{":
        return _safe(data, rng)
    return _bytes(data, rng)
