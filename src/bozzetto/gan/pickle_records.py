"""What a pickle becomes when nothing in it is trusted: names, records of requests, and the limits of one file."""

from __future__ import annotations

import io
import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bozzetto.errors import CheckpointError

Stream = io.BufferedIOBase | mmap.mmap  # what a file is read from

MAX_OPCODES = 400_000  # a training checkpoint of 1024 px has about 50 thousand
MAX_DEPTH = 100  # of containers in containers; a module of modules needs about 30
MAX_TREE = 1_000_000  # items, counting a shared one wherever it occurs; a checkpoint of 1024 px has about 10 thousand


@dataclass(frozen=True)
class Global:
    """A name that a pickle refers to, e.g. a class. Only the name: nothing was imported."""

    module: str
    name: str


@dataclass(eq=False)
class Stub:
    """What a pickle wanted made: class or function `module.name` called with `args`. It never was called.

    state: what the pickle wanted the object's attributes to be (usually a dict), None if it said nothing.
    items: what it wanted put into it as a mapping; elements: as a list.
    """

    module: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        return f"{self.module}.{self.name}"

    def __repr__(self) -> str:
        return f"Stub({self.module}.{self.name})"


@dataclass
class Limits:
    """What one file may cost, whatever it claims; shared by everything that is nested in it."""

    file: str  # name for complaints
    bytes_left: int  # that rebuilders may still copy
    opcodes_left: int = MAX_OPCODES

    @classmethod
    def of(cls, file: str, size: int) -> Limits:
        """Text, its bytes, the nested file in them and the storage in that: no byte is honestly copied more often."""
        return cls(file, 4 * size + 1_000_000)

    def spend(self, count: int) -> None:
        """Account for `count` bytes about to be copied."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise self.refusal("unpacks to more than it can honestly hold")

    def refusal(self, reason: str) -> CheckpointError:
        return CheckpointError(f"The file {self.file} {reason}; it is not opened.")


class Unfinished(ABC):
    """Something whose content comes with a later BUILD, e.g. an array."""

    @abstractmethod
    def finish(self, state: object) -> object:
        """The thing itself."""


def hashable(key: Any) -> Any:
    """The key, if it can be one: text, bytes, a short number, a name, or a flat tuple of these. TypeError otherwise.

    Hashing a deeply nested tuple would overflow the interpreter's stack, and long integers can all have one hash.
    """
    for part in key if type(key) is tuple else (key,):
        if isinstance(part, int) and part.bit_length() > 60:
            raise TypeError("a key that is a number too long")
        if part is not None and not isinstance(part, str | bytes | int | float | Global):
            raise TypeError(f"a key that is a {type(part).__name__}")
    return key


def children(value: object) -> Iterator[Any]:
    """The values that a container or stub holds."""
    if isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, Stub):
        yield from (value.args, value.kwargs, value.state, value.items, value.elements)


def check_graph(root: object, limits: Limits) -> None:
    """Refuse a structure that contains itself, is too deep, or is small only because parts of it are shared.

    Whoever walks the result may then do it without a thought to recursion. Itself it does not recurse.
    """
    done: dict[int, tuple[int, int]] = {}  # id -> height, items as a tree
    path: list[tuple[object, Iterator[Any], list[int]]] = [(root, children(root), [0, 1])]
    on_path = {id(root)}
    while path:
        value, rest, measure = path[-1]
        child = next(rest, path)  # the list `path` itself: a value no pickle can hold
        if child is path:
            path.pop()
            on_path.discard(id(value))
            done[id(value)] = (measure[0], measure[1])
            if path:
                _grow(path[-1][2], done[id(value)])
            continue
        if isinstance(child, Unfinished):
            raise limits.refusal("holds an array without content")
        if not isinstance(child, list | tuple | dict | set | frozenset | Stub):
            measure[1] += 1
        elif id(child) in on_path:
            raise limits.refusal("holds a structure that contains itself")
        elif id(child) in done:
            _grow(measure, done[id(child)])
        else:
            path.append((child, children(child), [0, 1]))
            on_path.add(id(child))
        if len(path) > MAX_DEPTH or measure[0] > MAX_DEPTH or measure[1] > MAX_TREE:
            raise limits.refusal("is nested deeper than any checkpoint, or holds the same thing too many times")


def _grow(measure: list[int], child: tuple[int, int]) -> None:
    measure[0] = max(measure[0], child[0] + 1)
    measure[1] += child[1]


def one_line(value: object, length: int = 120) -> str:
    """Text or a value from outside, fit for a sentence: printable, one line, short.

    Of what is neither text, a number nor an error only the kind is said: written out, a list of a thousand times the
    same long text would fill the memory.
    """
    told = isinstance(value, str | int | float | Exception | Global) or value is None
    text = str(value) if told else f"a value of type {type(value).__name__}"
    text = text[: 100 * length]  # of which enough is left when the spaces are gone
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return text if len(text) <= length else text[:length] + "..."
