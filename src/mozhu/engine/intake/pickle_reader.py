"""Reads a pickle without running it: each instruction is followed on a stack of descriptions.

The instructions are those of CPython's ``pickletools``. Names are resolved by following the stack, so that a name
put together at run time (STACK_GLOBAL, memo) is seen as it would be; what cannot be followed is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from mozhu.engine.intake.allowed import ALLOWED, CALLABLE
from mozhu.engine.intake.values import Called, Named, Stored, Table, pairs_of

MOST_INSTRUCTIONS = 4_000_000
LONGEST_ARGUMENT = 16 << 20
_LONGEST_LINE = 64 << 10
_SHOWN = 12
_MARK = object()


@dataclass(frozen=True)
class PickleFault:
    """``kind`` is ``name``, ``unclear``, ``damaged`` or ``limit``; ``what`` it is about, ``at`` the byte."""

    kind: str
    what: str
    at: int


@dataclass
class PickleRead:
    """``value`` is what the pickle describes; with ``faults`` it is not to be believed."""

    value: Any = None
    protocol: int = 0
    names: set[str] = field(default_factory=set)
    faults: list[PickleFault] = field(default_factory=list)


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(kind, what)
        self.kind, self.what = kind, what


def read_pickle(file: BinaryIO) -> PickleRead:
    """The pickle that begins where ``file`` stands; afterwards it stands behind the pickle's last byte."""
    return _Reader(file).read()


class _Bounded:
    """The file, for pickletools: no argument may be longer than what a checkpoint needs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_ARGUMENT:
            raise _Stop("limit", f"{size} B")
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise _Stop("limit", f"{len(line)} B")
        return line


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._at = 0
        self._ended = False
        self._found = PickleRead()

    def read(self) -> PickleRead:
        try:
            for count, (name, argument) in enumerate(self._instructions()):
                if count > MOST_INSTRUCTIONS:
                    raise _Stop("limit", str(count))
                self._follow(name, argument)
            if not self._ended:
                raise _Stop("damaged", "no STOP")
        except _Stop as stop:
            self._fault(stop.kind, stop.what)
        except IndexError:
            self._fault("damaged", "empty stack")
        # pickletools, codecs and int() say in their own ways that an argument is malformed.
        except (ValueError, OverflowError, KeyError, TypeError, MemoryError, RecursionError) as error:
            self._fault("damaged", str(error)[:200])
        return self._found

    def _instructions(self) -> Iterator[tuple[str, Any]]:
        for opcode, argument, position in pickletools.genops(_Bounded(self._file)):  # type: ignore[arg-type]
            self._at = position or 0
            yield opcode.name, argument

    def _fault(self, kind: str, what: str) -> None:
        if len(self._found.faults) < _SHOWN:
            self._found.faults.append(PickleFault(kind, what[:200], self._at))

    def _follow(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
            return
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
            return
        step: Callable[[_Reader, Any], Any] | None = _STEPS.get(name)
        if step is None:
            raise _Stop("unclear", name)
        step(self, argument)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise _Stop("unclear", "MARK")
        return value

    def _to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                taken = self._stack[place + 1 :]
                del self._stack[place:]
                return taken
        raise _Stop("damaged", "no MARK")

    def _tuple_of(self, size: int) -> None:
        taken = [self._pop() for _ in range(size)]
        self._stack.append(tuple(reversed(taken)))

    def _named(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise _Stop("unclear", "STACK_GLOBAL")
        whole = f"{module}.{name}"
        self._found.names.add(whole)
        if whole not in ALLOWED:
            self._fault("name", whole)
        self._stack.append(Named(whole))

    def _global(self, argument: Any) -> None:
        parts = str(argument).split(" ")
        if len(parts) != 2:
            raise _Stop("unclear", f"GLOBAL {argument!r}")
        self._named(*parts)

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._named(module, name)

    def _call(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            raise _Stop("unclear", "REDUCE")
        if function.name in ALLOWED and function.name not in CALLABLE:
            self._fault("name", f"{function.name}()")
        self._stack.append(Called(function, arguments))

    def _build(self, _: Any) -> None:
        state, made = self._pop(), self._stack[-1]
        if not isinstance(made, Called) or made.function.name in {"torch.device", "torch.Size"}:
            raise _Stop("unclear", "BUILD")
        made.state = state

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Called) and target.function.name in {"builtins.set"}:
            target.items.extend(values)
        else:
            raise _Stop("unclear", "APPEND")

    def _add_items(self, _: Any) -> None:
        values, target = self._to_mark(), self._stack[-1]
        if not isinstance(target, set):
            raise _Stop("unclear", "ADDITEMS")
        target.update(map(id, values))

    def _set(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if (
            isinstance(target, Called)
            and target.function.name
            in {
                "collections.OrderedDict",
                "collections.Counter",
            }
            or isinstance(target, Table)
        ):
            pairs = target.pairs
        else:
            raise _Stop("unclear", "SETITEM")
        if len(values) % 2:
            raise _Stop("damaged", "SETITEMS")
        pairs.extend(zip(values[::2], values[1::2], strict=True))

    def _put(self, argument: int) -> None:
        if self._stack[-1] is _MARK:
            raise _Stop("unclear", "PUT")
        self._memo[argument] = self._stack[-1]

    def _get(self, argument: int) -> None:
        if argument not in self._memo:
            raise _Stop("damaged", f"memo {argument}")
        self._stack.append(self._memo[argument])

    def _dict(self, _: Any) -> None:
        values = self._to_mark()
        self._stack.append(Table())
        self._set(values)

    def _end(self, _: Any) -> None:
        self._found.value = self._pop()
        self._ended = True
        if self._stack:
            raise _Stop("unclear", "STOP")


_VALUES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *(
            "STRING",
            "BINSTRING",
            "SHORT_BINSTRING",
            "UNICODE",
            "BINUNICODE",
            "SHORT_BINUNICODE",
            "BINUNICODE8",
        ),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": Table,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
# INST, OBJ, NEWOBJ_EX, EXT*, PERSID and out-of-band buffers are not here: no checkpoint needs them.
_STEPS: dict[str, Callable[[_Reader, Any], Any]] = {
    "PROTO": lambda reader, argument: setattr(reader._found, "protocol", argument),
    "FRAME": lambda reader, argument: None,
    "STOP": _Reader._end,
    "POP": lambda reader, argument: reader._stack.pop() and None,
    "POP_MARK": lambda reader, argument: reader._to_mark() and None,
    "DUP": lambda reader, argument: reader._stack.append(reader._stack[-1]),
    "GLOBAL": _Reader._global,
    "STACK_GLOBAL": _Reader._stack_global,
    "REDUCE": _Reader._call,
    "NEWOBJ": _Reader._call,
    "BUILD": _Reader._build,
    "BINPERSID": lambda reader, argument: reader._stack.append(Stored(reader._pop())),
    "TUPLE": lambda reader, argument: reader._stack.append(tuple(reader._to_mark())),
    "TUPLE1": lambda reader, argument: reader._tuple_of(1),
    "TUPLE2": lambda reader, argument: reader._tuple_of(2),
    "TUPLE3": lambda reader, argument: reader._tuple_of(3),
    "LIST": lambda reader, argument: reader._stack.append(reader._to_mark()),
    "DICT": _Reader._dict,
    "FROZENSET": lambda reader, argument: reader._stack.append(frozenset(map(id, reader._to_mark()))),
    "APPEND": lambda reader, argument: reader._append([reader._pop()]),
    "APPENDS": lambda reader, argument: reader._append(reader._to_mark()),
    "ADDITEMS": _Reader._add_items,
    "SETITEM": lambda reader, argument: reader._set(list(reversed([reader._pop(), reader._pop()]))),
    "SETITEMS": lambda reader, argument: reader._set(reader._to_mark()),
    "PUT": _Reader._put,
    "BINPUT": _Reader._put,
    "LONG_BINPUT": _Reader._put,
    "MEMOIZE": lambda reader, argument: reader._put(len(reader._memo)),
    "GET": _Reader._get,
    "BINGET": _Reader._get,
    "LONG_BINGET": _Reader._get,
}


def table_of(value: Any) -> dict[Any, Any] | None:
    """A described dict with its plain keys; ``None`` of anything else. Keys of other kinds are left out."""
    pairs = pairs_of(value)
    if pairs is None:
        return None
    return {key: item for key, item in pairs if isinstance(key, (str, int, bool, float, bytes))}
