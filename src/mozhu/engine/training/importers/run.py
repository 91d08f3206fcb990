"""A foreign configuration as a config file of ours, with what became of each of its settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from mozhu.engine.training.importers import axolotl, llama_factory, ms_swift
from mozhu.engine.training.importers.forms import Form, form_of
from mozhu.engine.training.importers.reading import read_settings
from mozhu.engine.training.importers.values import equal, is_none
from mozhu.engine.training.importers.work import STATUSES, Line, Work
from mozhu.kernel.errors import TargetExists, UnsupportedForeignConfig, WrongForeignConfig
from mozhu.kernel.files import read_json, write_json
from mozhu.kernel.texts import has_text, text
from mozhu.specs.config import ConfigImportSpec
from mozhu.specs.fields import fields_of
from mozhu.specs.train import TrainSpec

_TABLES: dict[str, ModuleType] = {"llama_factory": llama_factory, "ms_swift": ms_swift, "axolotl": axolotl}
_SHOWN = 160
_MISSING = {"model": "model", "dataset": "data"}


@dataclass(frozen=True)
class Imported:
    """``values`` is what the config file holds; ``lines`` one a foreign setting, in the order of the file."""

    form: Form
    source: str
    values: dict[str, Any]
    lines: list[Line]
    command: str
    output: str | None = None

    @property
    def against(self) -> list[Line]:
        return [line for line in self.lines if line.stands_against]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.form.name,
            "source": self.source,
            "values": self.values,
            "settings": [line.to_json() for line in self.lines],
            "command": self.command,
            "output": self.output,
        }


def run_import(spec: ConfigImportSpec) -> Imported:
    """Read, translate, and write ``spec.output`` when nothing stands against it.

    Raises:
        WrongForeignConfig: TRAIN-102 with every wrong value. UnsupportedForeignConfig: TRAIN-101.
        TargetExists: FILE-007. Those of :func:`~mozhu.engine.training.importers.reading.read_settings`.
    """
    found = translate(spec)
    if found.against and not spec.accept_unsupported:
        problems = [_problem(found, line) for line in found.against]
        raise UnsupportedForeignConfig(
            file=found.source,
            form=found.form.name,
            count=len(problems),
            problems="\n  ".join(problems),
            settings=[line.to_json() for line in found.lines],
        )
    if spec.output:
        _write(spec, found)
    return Imported(found.form, found.source, found.values, found.lines, _command(spec, found), spec.output)


def translate(spec: ConfigImportSpec) -> Imported:
    """What the settings become; nothing is written.

    Raises:
        WrongForeignConfig: TRAIN-102.
    """
    settings = read_settings(spec.file, spec.format)
    form = form_of(settings.form or "")
    module = _TABLES[form.id]
    work = Work(settings, form, module.ALIASES)
    replaced = {name: value for name in ("model", "dataset") if (value := getattr(spec, name))}
    module.fill(work, replaced=replaced)
    for name, value in replaced.items():
        work.values[name] = value
    _leftovers(work, module)
    _refuse_wrong(work)
    values = {
        field.name: work.values[field.name] for field in fields_of(TrainSpec) if field.name in work.values
    }
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    lines = sorted(
        work.lines, key=lambda line: (line.line is None, line.line or 0, STATUSES.index(line.status))
    )
    made = Imported(form, settings.source, values, lines, "")
    return Imported(form, settings.source, values, lines, _command(spec, made))


def _leftovers(work: Work, module: ModuleType) -> None:
    """Everything that the file says and that meant nothing so far."""
    for key, given in work.given.items():
        if key in work.done:
            continue
        if given.is_empty or is_none(given.value):
            work.idle(key, "empty")
        elif key in work.form.keys and equal(given.value, work.form.keys[key]):
            work.idle(key, "own_default")
        elif off := _switched_off(work, module, key):
            work.idle(key, "part_of", switch=off)
        elif note := _match(module.IDLE, key):
            work.idle(key, note)
        elif note := _match(module.UNSUPPORTED, key):
            if equal(given.value, False):
                work.idle(key, "own_default")
            else:
                work.unsupported(key, note, value=given.value)
        elif key in work.form.keys:
            work.unsupported(key, "no_field")
        else:
            _unknown(work, key)


def _unknown(work: Work, key: str) -> None:
    near = get_close_matches(key, work.form.keys, 3, 0.6)
    words = text(
        "importing.note.unknown", form=work.form.name, version=work.form.version, near=", ".join(near) or "-"
    )
    given = work.given[key]
    work.lines.append(Line("unknown", work.written_as[key], given.value, given.line, note=words))


def _switched_off(work: Work, module: ModuleType, key: str) -> str | None:
    for beginning, (switch, on) in module.PART_OF.items():
        if key.startswith(beginning) and key != switch:
            value = work.given[switch].value if work.has(switch) else work.form.keys.get(switch)
            return None if (equal(value, on) if on is not None else not is_none(value)) else str(switch)
    return None


def _match(table: dict[str, str], key: str) -> str | None:
    if key in table:
        return table[key]
    return next(
        (note for pattern, note in table.items() if "*" in pattern and fnmatchcase(key, pattern)), None
    )


def _refuse_wrong(work: Work) -> None:
    """Every value that its own key, or our field, cannot have: all at once."""
    wrong = [*work.wrong]
    for key, line in work.settings.twice:
        wrong.append((line, key, None, text("importing.expected.once")))
    try:
        TrainSpec.model_validate({"model": "-", "dataset": "-", **work.values})
    except ValidationError as error:
        for item in error.errors():
            wrong += _spec_problem(work, item)
    for field in ("model", "dataset"):
        if field not in work.values and not any(entry[1] in _needed(work, field) for entry in wrong):
            wrong.append((0, _needed(work, field)[0], None, text(f"importing.expected.{_MISSING[field]}")))
    if wrong:
        problems = [_wrong(entry) for entry in sorted(_once(wrong), key=lambda entry: entry[0])]
        raise WrongForeignConfig(
            file=work.settings.source,
            form=work.form.name,
            count=len(problems),
            problems="\n  ".join(problems),
        )


def _once(entries: list[tuple[int, str, Any, str]]) -> list[tuple[int, str, Any, str]]:
    """Each entry once; values need not be hashable."""
    found: list[tuple[int, str, Any, str]] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found


def _needed(work: Work, field: str) -> tuple[str, ...]:
    names: dict[str, dict[str, tuple[str, ...]]] = {
        "llama_factory": {"model": ("model_name_or_path",), "dataset": ("dataset",)},
        "ms_swift": {"model": ("model",), "dataset": ("dataset",)},
        "axolotl": {"model": ("base_model",), "dataset": ("datasets", "pretraining_dataset")},
    }
    return names[work.form.id][field]


def _spec_problem(work: Work, item: Any) -> list[tuple[int, str, Any, str]]:
    field = str(item["loc"][0]) if item["loc"] else ""
    if not field:
        rule = str(item["msg"]).removeprefix("Value error, ")
        return [(0, "", None, text(rule) if has_text(rule) else rule)]
    keys = [key for key in work.made_of.get(field, ()) if key in work.given]
    key = keys[0] if keys else field
    line = work.given[key].line if key in work.given else 0
    written = work.written_as.get(key, key)
    value = work.given[key].value if key in work.given else work.values.get(field)
    return [(line, written, value, work.fields[field].expected())]


def _wrong(entry: tuple[int, str, Any, str]) -> str:
    line, key, value, expected = entry
    if not key:  # a rule between several settings
        return expected
    where = text("importing.line", line=line) if line else text("importing.no_line")
    return text("importing.wrong", where=where, key=key, value=_short(value), expected=expected)


def _problem(found: Imported, line: Line) -> str:
    where = text("importing.line", line=line.line) if line.line else text("importing.no_line")
    return text("importing.problem", where=where, key=line.key, value=_short(line.value), note=line.note)


def _short(value: Any) -> str:
    shown = str(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _write(spec: ConfigImportSpec, found: Imported) -> None:
    path = Path(spec.output or "")
    content = {"comment": _comment(found), **found.values}
    if path.exists() and not spec.overwrite:
        if path.is_file() and _holds(path, content):
            return
        raise TargetExists(path=str(path))
    write_json(path, content)


def _holds(path: Path, content: dict[str, Any]) -> bool:
    try:
        return bool(read_json(path) == content)
    except Exception:  # whatever else it is, it is not this
        return False


def _comment(found: Imported) -> str:
    """Where the values come from, which were defaults there, and what was left out."""
    parts = [text("importing.comment.from", file=Path(found.source).name[:80], form=found.form.name)]
    defaults = [line.field for line in found.lines if line.status == "default" and line.field]
    if defaults:
        parts.append(text("importing.comment.defaults", form=found.form.name, fields=", ".join(defaults)))
    for status in ("unsupported", "unknown", "differs"):
        of = [f"{line.key}={_short(line.value)}" for line in found.lines if line.status == status]
        if of:
            parts.append(text(f"importing.comment.{status}", keys="; ".join(of)))
    return " ".join(parts)


def _command(spec: ConfigImportSpec, found: Imported) -> str:
    """The same request as one command."""
    words = ["mozhu", "train"]
    defaults = {field.name: field.default for field in fields_of(TrainSpec)}
    for name, value in found.values.items():
        if equal(value, defaults[name]):
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no_{name}")
        else:
            words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return shlex.join(words)
