"""The work sheet of one import: what each foreign setting becomes, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mozhu.engine.training.importers.forms import Form
from mozhu.engine.training.importers.given import Given, Settings
from mozhu.engine.training.importers.values import Read, WrongValue, equal, is_computed, is_none
from mozhu.kernel.texts import text
from mozhu.specs.fields import Field, fields_of
from mozhu.specs.train import TrainSpec

# A setting is taken over, the same as our default, a default of theirs that had to be written out, without effect
# here, without effect anywhere (empty, or at its own default), a default of theirs that cannot be had here, not
# supported, or not known to its own format.
STATUSES = ("taken", "same", "default", "idle", "untouched", "differs", "unsupported", "unknown")
_AGAINST = frozenset({"unsupported", "unknown"})
_UNTOUCHED = frozenset({"empty", "own_default"})


@dataclass(frozen=True)
class Line:
    """One foreign setting. ``key`` and ``value`` as written; ``line`` None: it is not in the file."""

    status: str
    key: str
    value: Any
    line: int | None
    field: str | None = None
    ours: Any = None
    note: str = ""

    @property
    def stands_against(self) -> bool:
        return self.status in _AGAINST

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "key": self.key,
            "value": self.value,
            "line": self.line,
            "field": self.field,
            "ours": self.ours,
            "note": self.note,
        }


class Work:
    """Collects what is asked for and what becomes of it. ``wrong`` lists values that their keys cannot have."""

    def __init__(self, settings: Settings, form: Form, aliases: dict[str, str]) -> None:
        self.form = form
        self.settings = settings
        self.fields: dict[str, Field] = {field.name: field for field in fields_of(TrainSpec)}
        self.lines: list[Line] = []
        self.values: dict[str, Any] = {}
        self.made_of: dict[str, tuple[str, ...]] = {}
        self.wrong: list[tuple[int, str, Any, str]] = []
        self.written_as: dict[str, str] = {}
        self.given: dict[str, Given] = {}
        for key, given in settings.keys.items():
            name = aliases.get(key, key)
            self.written_as.setdefault(name, key)
            self.given.setdefault(name, given)
        self.done: set[str] = set()
        self.refused: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the file says something for ``key``; nothing after the colon says nothing."""
        if key not in self.given or key in self.refused:
            return False
        return not self.given[key].is_empty and not is_none(self.given[key].value)

    def get(self, key: str, read: Read, default: Any = None) -> Any:
        """The value of ``key``, read; without one ``default``, or the format's own."""
        if not self.has(key):
            return self.form.keys.get(key) if default is None else default
        given = self.given[key]
        try:
            if is_computed(given.value):
                raise WrongValue(text("importing.expected.plain"))
            return read(given.value)
        except WrongValue as error:
            self.refuse(key, str(error))
            return self.form.keys.get(key) if default is None else default

    def refuse(self, key: str, expected: str) -> None:
        """``key`` has a value that it cannot have."""
        given = self.given[key]
        self.done.add(key)
        self.refused.add(key)
        entry = (given.line, self.written_as[key], given.value, expected)
        if entry not in self.wrong:
            self.wrong.append(entry)

    def put(self, field: str, value: Any, *keys: str, note: str = "", learned: bool = True) -> None:
        """Ask for ``field`` = ``value``, which comes from ``keys``.

        Where the file has none of them the value is the format's default: written only when ours is another and
        what is ``learned`` hangs on it.
        """
        given = [key for key in keys if self.has(key)]
        ours = self.fields[field].default
        if not given:
            self.done.update(keys)
            if learned and not equal(value, ours):
                self._set(field, value, keys)
                theirs = self.form.keys.get(keys[0]) if keys else None
                shown = value if theirs is None else theirs
                self.lines.append(
                    Line("default", keys[0] if keys else field, shown, None, field, value, note)
                )
            return
        self._set(field, value, keys)
        status = "same" if equal(value, ours) else "taken"
        for key in given:
            self._line(status, key, field, value, note)
        self.done.update(keys)

    def _set(self, field: str, value: Any, keys: tuple[str, ...]) -> None:
        self.values[field] = value
        self.made_of[field] = keys

    def has_field(self, field: str) -> bool:
        return field in self.fields

    def can_be(self, field: str, value: str) -> bool:
        """Whether ``value`` is a choice of ``field``."""
        return field in self.fields and value in self.fields[field].choices

    def idle(self, key: str, note: str, **params: Any) -> None:
        """``key`` changes nothing of what is learned here."""
        status = "untouched" if note in _UNTOUCHED else "idle"
        self._line(status, key, None, None, text(f"importing.note.{note}", **params))

    def unsupported(self, key: str, note: str, **params: Any) -> None:
        """``key`` asks for what cannot be had here; a default of the format only differs."""
        words = text(f"importing.note.{note}", **params)
        self._line("unsupported" if self.has(key) else "differs", key, None, None, words)

    def differs(self, key: str, note: str, **params: Any) -> None:
        """What the format does unasked and we do not; nothing stands against it."""
        self._line("differs", key, None, None, text(f"importing.note.{note}", **params))

    def inside(self, key: str, path: tuple[Any, ...], written: Any, note: str, **params: Any) -> None:
        """Something inside the value of ``key`` is not supported."""
        shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        line = self.given[key].line_of(*path)
        words = text(f"importing.note.{note}", **params)
        self.done.add(key)
        self.lines.append(Line("unsupported", f"{self.written_as[key]}{shown}", written, line, note=words))

    def command(self, name: str, note: str) -> None:
        """The program itself, whichever its settings, is not supported."""
        self.lines.append(Line("unsupported", name, None, 1, note=text(f"importing.note.{note}")))

    def variable(self, name: str, status: str, note: str, **params: Any) -> None:
        given = self.settings.variables[name]
        words = text(f"importing.note.{note}", **params)
        self.lines.append(Line(status, name, given.value, given.line, note=words))

    def _line(self, status: str, key: str, field: str | None, ours: Any, note: str) -> None:
        self.done.add(key)
        if key in self.given:
            given = self.given[key]
            found = Line(status, self.written_as[key], given.value, given.line, field, ours, note)
        else:
            found = Line(status, key, self.form.keys.get(key), None, field, ours, note)
        self.lines.append(found)
