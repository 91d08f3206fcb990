"""Texts that remember where they come from, through the string methods that a chat template uses.

What comes out of a template is literals and terms (a message's content, stripped, split …); what was asked about
a text on the way is noted with the answer. What is not followed raises :class:`Untraceable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from mozhu.engine.weights.jinja import to_json

# ("atom", n), ("now", form), ("const", value), ("cat", parts), ("item", term, n), ("len", term), ("truth", term),
# ("slice", term, start, stop, step), ("json", frozen, options), ("call", method, term, arguments)
Term = tuple[Any, ...]
Parts = tuple["str | Term", ...]
Reader = Callable[[Sequence[str]], Any]


def words(names: str) -> frozenset[str]:
    """A set from its words, one blank between two."""
    return frozenset(names.split())


_COMPARISONS = words("__eq__ __ne__ __lt__ __le__ __gt__ __ge__")
# Methods of a string that give a text, an answer to decide by, or several texts.
_METHODS = _COMPARISONS | words(
    "strip lstrip rstrip replace upper lower capitalize title casefold swapcase removeprefix removesuffix"
    " startswith endswith find rfind count isdigit isspace isalpha isalnum isupper islower isnumeric isdecimal"
    " __contains__ __len__ split rsplit splitlines partition rpartition"
)
_HARMLESS = words(
    "__class__ __new__ __init__ __getattribute__ __setattr__ __delattr__ __doc__ __dir__ __init_subclass__"
    " __subclasshook__ __reduce__ __reduce_ex__ __sizeof__ __getstate__ __getnewargs__"
)


class Untraceable(Exception):
    """The template does something with a text that is not followed."""


class Log:
    """What one run of a template asked: ``conditions`` maps a term to the value it had."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.conditions: dict[Term, Any] = {}
        self._now = now

    def atom(self, number: int, value: str) -> Traced:
        return traced(value, (("atom", number),), self)

    def strftime_now(self, form: Any) -> Traced:
        if type(form) is not str:
            raise Untraceable(form)
        return traced(self._now().strftime(form), (("now", form),), self)

    def result(self, term: Term, value: Any) -> Any:
        """``value`` of ``term``, followed on where it is text, noted where the template may decide by it."""
        if type(value) is str:
            return traced(value, (term,), self)
        if isinstance(value, (list, tuple)):
            self.conditions[("len", term)] = len(value)
            return type(value)(traced(item, (("item", term, at),), self) for at, item in enumerate(value))
        self.conditions[term] = value
        return value


class Traced(str):
    """A text that remembers its parts; every use of it is followed, noted or refused."""

    __slots__ = ("_log", "_parts")
    _log: Log
    _parts: Parts

    def __str__(self) -> str:
        return self

    def __bool__(self) -> bool:
        return bool(self._log.result(("truth", term_of(self)), len(plain(self)) > 0))

    def __add__(self, other: Any) -> str:
        return concat((self, other)) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: Any) -> str:
        return concat((other, self)) if isinstance(other, str) else NotImplemented

    def __getitem__(self, place: Any) -> str:
        if isinstance(place, str):
            raise TypeError("string indices must be integers")  # what a string says: the template goes on
        if not isinstance(place, slice) or type(place.step) not in (int, type(None)):
            raise Untraceable("index")
        if type(place.start) not in (int, type(None)) or type(place.stop) not in (int, type(None)):
            raise Untraceable("slice")
        term = ("slice", term_of(self), place.start, place.stop, place.step)
        found: str = self._log.result(term, plain(self)[place])
        return found


def plain(value: Any) -> Any:
    """The ordinary string of a traced one; anything else as it is."""
    return str.__str__(value) if type(value) is Traced else value


def parts_of(text: str) -> Parts:
    return text._parts if type(text) is Traced else (str(text),)


def term_of(value: Any) -> Term:
    if type(value) is not Traced:
        return ("const", value)
    parts = value._parts
    return parts[0] if len(parts) == 1 and isinstance(parts[0], tuple) else ("cat", parts)


def concat(pieces: Iterable[str]) -> str:
    """What ``"".join`` gives, with the parts of what is traced in it."""
    pieces = list(pieces)
    log = next((piece._log for piece in pieces if type(piece) is Traced), None)
    if log is None:
        return "".join(pieces)
    if any(type(piece) not in (str, Traced) for piece in pieces):
        raise Untraceable("markup")
    parts: list[str | Term] = []
    for piece in pieces:
        for part in parts_of(piece):
            last = parts[-1] if parts else None
            if isinstance(part, str) and isinstance(last, str):
                parts[-1] = last + part
            elif part != "":
                parts.append(part)
    return traced("".join(plain(piece) for piece in pieces), tuple(parts), log)


def reader(term: str | Term, now: Callable[[], datetime]) -> Reader:
    """A function from the atoms' texts to the value of ``term``."""
    if isinstance(term, str):
        return lambda atoms: term
    kind = term[0]
    if kind == "atom":
        return itemgetter(term[1])
    if kind == "const":
        value = term[1]
        return lambda atoms: value
    if kind == "now":
        form = term[1]
        return lambda atoms: now().strftime(form)
    if kind == "cat":
        readers = [reader(part, now) for part in term[1]]
        return lambda atoms: "".join([read(atoms) for read in readers])
    if kind == "json":
        thaw, options = _thawing(term[1], now), dict(term[2])
        return lambda atoms: to_json(thaw(atoms), **options)
    return _derived(term, now)


def _derived(term: Term, now: Callable[[], datetime]) -> Reader:
    kind = term[0]
    if kind == "call":
        return _call_reader(term, now)
    base = reader(term[1], now)
    if kind == "item":
        place = term[2]
        return lambda atoms: base(atoms)[place]
    if kind == "len":
        return lambda atoms: len(base(atoms))
    if kind == "truth":
        return lambda atoms: bool(base(atoms))
    piece = slice(*term[2:])
    return lambda atoms: base(atoms)[piece]


def _call_reader(term: Term, now: Callable[[], datetime]) -> Reader:
    method, base = getattr(str, term[1]), reader(term[2], now)
    if all(argument[0] == "const" for argument in term[3]):
        values = [argument[1] for argument in term[3]]
        return lambda atoms: method(base(atoms), *values)
    readers = [reader(argument, now) for argument in term[3]]
    return lambda atoms: method(base(atoms), *[read(atoms) for read in readers])


def _thawing(frozen: tuple[Any, ...], now: Callable[[], datetime]) -> Reader:
    kind, value = frozen
    if kind == "leaf":
        return reader(value, now)
    if kind == "dict":
        pairs = [(key, _thawing(item, now)) for key, item in value]
        return lambda atoms: {key: read(atoms) for key, read in pairs}
    items = [_thawing(item, now) for item in value]
    return lambda atoms: [read(atoms) for read in items]


def traced(value: str, parts: Parts, log: Log) -> Traced:
    """A text with its parts."""
    made = str.__new__(Traced, value)
    made._parts, made._log = parts, log
    return made


def _followed(name: str) -> Callable[..., Any]:
    real, compares = getattr(str, name), name in _COMPARISONS

    def call(self: Traced, *args: Any) -> Any:
        if compares and not isinstance(args[0], str):
            return NotImplemented
        if not all(_is_plain_argument(value) for value in args):
            raise Untraceable(name)
        term = ("call", name, term_of(self), tuple(term_of(value) for value in args))
        return self._log.result(term, real(plain(self), *(plain(value) for value in args)))

    return call


def _is_plain_argument(value: Any) -> bool:
    if type(value) is tuple:
        return all(type(item) is str for item in value)
    return type(value) in (str, int, type(None), Traced)


def refused(name: str) -> Callable[..., Any]:
    """A function that is not followed."""

    def refuse(*args: Any, **more: Any) -> Any:
        raise Untraceable(name)

    return refuse


for _name in _METHODS:
    setattr(Traced, _name, _followed(_name))
for _name in dir(str):
    if _name not in vars(Traced) and _name not in _HARMLESS:
        setattr(Traced, _name, refused(_name))
for _name in ("__hash__", "__rmod__", "__rmul__"):
    setattr(Traced, _name, refused(_name))
