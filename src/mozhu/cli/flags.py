"""Flags out of a spec: ``--lora_rank 8``, ``--lora-rank=8``, ``--use_cpu``; every unknown flag named at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import BadUsage, UnknownFlag
from mozhu.kernel.texts import text
from mozhu.specs.base import Spec
from mozhu.specs.fields import Field, fields_of

COMMON = ("json", "debug")


@dataclass
class Parsed:
    """What was typed: spec values, plain words, switches, and the layers' names."""

    values: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    switches: dict[str, str | bool] = field(default_factory=dict)
    preset: str | None = None
    config: Path | None = None
    help: bool = False


def parse_flags(
    verb: str, spec: type[Spec] | None, switches: Sequence[str], most_words: int, arguments: Sequence[str]
) -> Parsed:
    """Sort ``arguments`` into spec values and the rest.

    Raises:
        UnknownFlag: CLI-002 naming every unknown flag with the nearest known ones.
        BadUsage: CLI-003, a value is missing or a word too many.
    """
    fields = {item.name: item for item in fields_of(spec)} if spec else {}
    known_switches = {*switches, *COMMON}
    parsed = Parsed()
    unknown: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in {"-h", "--help"}:
            parsed.help = True
        elif word == "-y" and "yes" in known_switches:
            parsed.switches["yes"] = True
        elif not word.startswith("--") or word == "--":
            parsed.words.append(word)
        else:
            name, _, given = word[2:].partition("=")
            name = name.replace("-", "_")
            value = given if "=" in word else None
            if name == "lang":
                _value(verb, word, value, rest)
            elif name in known_switches:
                parsed.switches[name] = True
            elif name in fields:
                given_before = parsed.values.get(name)
                found = _field_value(verb, fields[name], word, value, rest)
                again = isinstance(found, list) and isinstance(given_before, list)
                parsed.values[name] = given_before + found if again else found
            elif name.startswith("no_") and _is_switch(fields.get(name[3:])):
                parsed.values[name[3:]] = False
            elif spec and name == "config":
                parsed.config = Path(_value(verb, word, value, rest)).expanduser()
            elif spec and spec.has_presets and name == "preset":
                parsed.preset = _value(verb, word, value, rest)
            else:
                unknown.append(word.partition("=")[0])
                if rest and not rest[0].startswith("--"):
                    rest.pop(0)
    if parsed.help:
        return parsed
    if unknown:
        raise _unknown(verb, unknown, [*fields, *known_switches, "config", "preset", "lang"])
    if len(parsed.words) > most_words:
        raise BadUsage(verb=verb, reason=text("cli.unexpected", words=" ".join(parsed.words[most_words:])))
    return parsed


def _field_value(verb: str, item: Field, word: str, value: str | None, rest: list[str]) -> Any:
    if item.kind == "switch":
        if value is None and rest and rest[0].lower() in {"true", "false", "yes", "no", "1", "0"}:
            value = rest.pop(0)
        return True if value is None else value
    if item.kind == "words":
        found = [_value(verb, word, value, rest)]
        while value is None and rest and not rest[0].startswith("--"):  # `--target_modules q_proj, k_proj`
            found.append(rest.pop(0))
        return " ".join(found)
    if item.kind == "paths":
        paths = [_value(verb, word, value, rest)]
        while value is None and rest and not rest[0].startswith("--"):
            paths.append(rest.pop(0))
        return [path for written in paths for path in _paths(written)]
    return _value(verb, word, value, rest)


def _paths(written: str) -> list[str]:
    """Paths with commas between them, unless there is a file with that very name."""
    if Path(written).expanduser().exists():
        return [written]
    return [path.strip() for path in written.split(",") if path.strip()]


def _value(verb: str, word: str, value: str | None, rest: list[str]) -> str:
    if value is not None:
        return value
    if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
        raise BadUsage(verb=verb, reason=text("cli.needs_value", flag=word))
    return rest.pop(0)


def _is_switch(item: Field | None) -> bool:
    return item is not None and item.kind == "switch"


def _unknown(verb: str, flags: list[str], known: list[str]) -> UnknownFlag:
    names = [f"--{name}" for name in sorted(known)]
    near = {
        match for flag in flags for match in get_close_matches(flag.replace("-", "_"), _dashed(names), 2, 0.5)
    }
    shown = sorted(f"--{name.lstrip('_')}" for name in near) or names
    return UnknownFlag(verb=verb, flags=flags, near=shown)


def _dashed(names: list[str]) -> list[str]:
    """Names as the user's flag is compared: blanks of either kind are equal."""
    return [name.replace("-", "_") for name in names]
