"""A pickle machine that makes plain data and nothing else: no class is looked up, only our own rebuilders are called.

It is not `pickle.Unpickler` with a filter but an interpreter of its own over the standard library's list of opcodes
(`pickletools`, which only splits the bytes): what a pickle names stays a name (`Global`), what it calls or constructs
becomes a record of the request (`Stub`), and only the few names in the given table are replaced by our functions.
"""

# ruff: noqa: SIM905
from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any

from bozzetto.gan.pickle_records import Global, Limits, Stream, Stub, Unfinished, check_graph, hashable, one_line

MAX_STACK = 100_000
MAX_NAME = 500  # characters of a module's or class's name
MAX_INT_BITS = 512

# The machine would only record a request for one of these. No checkpoint has a reason for it, so the file is refused.
DANGEROUS = frozenset(
    "os posix nt subprocess sys socket shutil pty runpy importlib ctypes code codeop webbrowser pickle _pickle cPickle "
    "marshal operator _operator pip pdb bdb timeit cProfile profile platform asyncio multiprocessing imp pkgutil "
    "zipimport signal http urllib requests".split()
)
DANGEROUS_BUILTINS = frozenset(
    "eval exec execfile compile open __import__ getattr setattr delattr apply input breakpoint globals locals "
    "vars".split()
)

Rebuild = Callable[[Limits, tuple[Any, ...]], object]
Rebuilders = Mapping[tuple[str, str], Rebuild]

_PUSH = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Machine:
    """Runs one pickle. `persistent` is asked for what a pickle leaves outside of itself (torch's storages)."""

    def __init__(
        self, limits: Limits, rebuilders: Rebuilders, persistent: Callable[[object], object] | None = None
    ) -> None:
        self.limits = limits
        self.rebuilders = rebuilders
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.memo_of: dict[int, list[int]] = {}  # id of an unfinished thing -> where it was memorised

    def run(self, stream: Stream) -> object:
        """The value of the pickle that begins at the stream's position, which is left after its end.

        Raises CheckpointError for anything that is not a whole, plain and bounded pickle.
        """
        try:
            for opcode, arg, _ in pickletools.genops(stream):  # type: ignore[arg-type]
                self.limits.opcodes_left -= 1
                if self.limits.opcodes_left < 0 or len(self.stack) + len(self.marks) > MAX_STACK:
                    raise self.limits.refusal("is a pickle of more steps than any checkpoint has")
                self._step(opcode.name, arg)
            value = self._pop()
            if self.stack or self.marks:
                raise self.limits.refusal("is a pickle that ends before it is done")
            check_graph(value, self.limits)
        except (
            ValueError,
            TypeError,
            LookupError,
            OverflowError,
            EOFError,
            RuntimeError,
            MemoryError,
            struct.error,
        ) as e:
            raise self.limits.refusal(f"is not a whole pickle or not one of plain data ({one_line(e)})") from None
        return value

    def _step(self, name: str, arg: Any) -> None:
        if name in _PUSH:
            if isinstance(arg, int) and arg.bit_length() > MAX_INT_BITS:
                raise self.limits.refusal("holds a number too long to be one")
            self.stack.append(arg)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            self.stack.append(tuple([self._pop() for _ in range(count)][::-1]))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memorise(arg)
        elif name == "MEMOIZE":
            self._memorise(len(self.memo))
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[arg])
        elif name in ("PROTO", "FRAME", "STOP"):
            pass
        else:
            step = _STEPS.get(name)
            if step is None:
                raise self.limits.refusal(f"uses the pickle operation {name}, which no checkpoint needs")
            step(self, arg)

    # -- stack -----------------------------------------------------------------------------------------------------

    def _pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise IndexError("stack underflow")
        return self.stack.pop()

    def _pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _top(self) -> Any:
        value = self._pop()
        self.stack.append(value)
        return value

    def _memorise(self, index: int) -> None:
        value = self.memo[index] = self._top()
        if isinstance(value, Unfinished):
            self.memo_of.setdefault(id(value), []).append(index)

    def _mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def _pop_or_unmark(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self._pop()

    def _drop_to_mark(self, _: Any) -> None:
        self._pop_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self._top())

    # -- containers ------------------------------------------------------------------------------------------------

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._pop_mark()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._pop_mark())

    def _dict(self, _: Any) -> None:
        self.stack.append(self._pairs(self._pop_mark()))

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(hashable(item) for item in self._pop_mark()))

    def _append(self, _: Any) -> None:
        item = self._pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, Stub):
            target.elements.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise TypeError("items for what is no list")

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._pop_mark())

    def _update(self, flat: list[Any]) -> None:
        target = self._top()
        if isinstance(target, Stub):
            target.items.update(self._pairs(flat))
        elif isinstance(target, dict):
            target.update(self._pairs(flat))
        else:
            raise TypeError("entries for what is no mapping")

    def _additems(self, _: Any) -> None:
        items, target = self._pop_mark(), self._top()
        if not isinstance(target, set):
            raise TypeError("members for what is no set")
        target.update(hashable(item) for item in items)

    def _pairs(self, flat: list[Any]) -> dict[Any, Any]:
        if len(flat) % 2:
            raise ValueError("a key without a value")
        return {hashable(key): value for key, value in zip(flat[::2], flat[1::2], strict=True)}

    # -- names, calls, states --------------------------------------------------------------------------------------

    def _global(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self.stack.append(self._name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self.stack.append(self._name(module, name))

    def _name(self, module: object, name: object) -> Global:
        if not (isinstance(module, str) and isinstance(name, str) and len(module) + len(name) <= MAX_NAME):
            raise self.limits.refusal("names a class by something that is no name")
        root, first = module.partition(".")[0], name.partition(".")[0]
        builtin = root in ("builtins", "__builtin__") and first in DANGEROUS_BUILTINS
        magic = "." in name and any(part.startswith("__") for part in name.split("."))
        if root in DANGEROUS or builtin or magic:
            raise self.limits.refusal(f"asks to run '{one_line(f'{module}.{name}')}', as an attack would")
        return Global(module, name)

    def _reduce(self, _: Any) -> None:
        args, callee = self._pop(), self._pop()
        self.stack.append(self._call(callee, args, {}))

    def _newobj(self, _: Any) -> None:
        self._reduce(None)

    def _newobj_ex(self, _: Any) -> None:
        kwargs, args, callee = self._pop(), self._pop(), self._pop()
        self.stack.append(self._call(callee, args, kwargs))

    def _inst(self, arg: str) -> None:
        args = tuple(self._pop_mark())
        module, _, name = arg.partition(" ")
        self.stack.append(self._call(self._name(module, name), args, {}))

    def _obj(self, _: Any) -> None:
        callee, *args = self._pop_mark()
        self.stack.append(self._call(callee, tuple(args), {}))

    def _call(self, callee: object, args: object, kwargs: object) -> object:
        if not isinstance(callee, Global):
            raise self.limits.refusal("calls what is no class by name, as an attack would")
        if type(args) is not tuple or type(kwargs) is not dict or not all(isinstance(key, str) for key in kwargs):
            raise TypeError("arguments that are none")
        rebuild = self.rebuilders.get((callee.module, callee.name))
        if rebuild is not None and not kwargs:
            return rebuild(self.limits, args)
        if callee.module == "torch._utils" and callee.name.startswith("_rebuild"):
            raise self.limits.refusal("holds tensors of a kind that no generator has (sparse, quantised or the like)")
        return Stub(callee.module, callee.name, args, kwargs)

    def _build(self, _: Any) -> None:
        state, target = self._pop(), self._pop()
        if isinstance(target, Unfinished):
            finished = target.finish(state)
            for index in self.memo_of.pop(id(target), []):
                if self.memo[index] is target:
                    self.memo[index] = finished
            self.stack.append(finished)
            return
        if isinstance(target, Stub) and target.state is None:
            target.state = state
        elif type(target) is not dict:  # an OrderedDict's attributes: torch keeps version numbers there; not needed
            raise TypeError("a state for what takes none")
        self.stack.append(target)

    def _binpersid(self, _: Any) -> None:
        if self.persistent is None:
            raise self.limits.refusal("refers to data outside of itself")
        self.stack.append(self.persistent(self._pop()))


_STEPS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": Machine._mark,
    "POP": Machine._pop_or_unmark,
    "POP_MARK": Machine._drop_to_mark,
    "DUP": Machine._dup,
    "TUPLE": Machine._tuple,
    "LIST": Machine._list,
    "DICT": Machine._dict,
    "FROZENSET": Machine._frozenset,
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "SETITEM": Machine._setitem,
    "SETITEMS": Machine._setitems,
    "ADDITEMS": Machine._additems,
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._newobj,
    "NEWOBJ_EX": Machine._newobj_ex,
    "INST": Machine._inst,
    "OBJ": Machine._obj,
    "BUILD": Machine._build,
    "BINPERSID": Machine._binpersid,
}
