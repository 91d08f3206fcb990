"""Ollama's Modelfile: a minimal valid one for our GGUF files, and its grammar.

The grammar is that of Ollama's ``parser/parser.go``: eleven commands, ``#`` comments, values bare to the
end of the line or in one or three double quotes. No ``TEMPLATE`` is written: the GGUF file holds the
model's own template, and Ollama then uses that one.
"""

from __future__ import annotations

from dataclasses import dataclass

from mozhu.kernel.errors import BadModelfile
from mozhu.kernel.texts import text

COMMANDS = (
    "FROM",
    "LICENSE",
    "TEMPLATE",
    "SYSTEM",
    "ADAPTER",
    "DRAFT",
    "RENDERER",
    "PARSER",
    "PARAMETER",
    "MESSAGE",
    "REQUIRES",
)
_ROLES = ("system", "user", "assistant")
_THREE = '"""'


@dataclass(frozen=True)
class Command:
    """``name`` is the parameter's name or the message's role, and empty for all other commands."""

    word: str
    value: str
    name: str = ""


def make_modelfile(
    file: str,
    model_name: str,
    *,
    stops: tuple[str, ...] = (),
    system: str | None = None,
    temperature: float | None = None,
) -> str:
    """The text of a Modelfile that serves ``file``, which lies beside it.

    Raises:
        BadModelfile: EXPORT-012 where a value cannot be written in the grammar.
    """
    lines = [f"# ollama create {model_name} -f Modelfile", f"FROM ./{file}"]
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop in stops]
    if temperature is not None:
        lines.append(f"PARAMETER temperature {temperature:g}")
    if system is not None:
        lines.append(f"SYSTEM {_quoted(system)}")
    made = "\n".join(lines) + "\n"
    parse_modelfile(made)
    return made


def parse_modelfile(content: str) -> list[Command]:
    """The commands of a Modelfile in order.

    Raises:
        BadModelfile: EXPORT-012 with the line.
    """
    lines = content.splitlines()
    commands: list[Command] = []
    place = 0
    while place < len(lines):
        line, number = lines[place].strip(), place + 1
        place += 1
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        word = word.upper()
        if word not in COMMANDS:
            raise _bad(number, "unknown_command", word=word)
        name, rest = _named(word, rest.strip(), number)
        value, place = _value(rest, lines, place, number)
        if not value and word != "SYSTEM":
            raise _bad(number, "no_value", word=word)
        commands.append(Command(word, value, name))
    if not any(command.word == "FROM" for command in commands):
        raise _bad(max(1, len(lines)), "no_from")
    return commands


def _named(word: str, rest: str, number: int) -> tuple[str, str]:
    if word not in {"PARAMETER", "MESSAGE"}:
        return "", rest
    name, _, value = rest.partition(" ")
    if word == "MESSAGE" and name not in _ROLES:
        raise _bad(number, "role", word=name)
    return name.lower(), value.strip()


def _value(rest: str, lines: list[str], place: int, number: int) -> tuple[str, int]:
    """The value that begins with ``rest`` and, in quotes, may go on over the next lines."""
    quote = _THREE if rest.startswith(_THREE) else '"' if rest.startswith('"') else ""
    if not quote:
        return rest, place
    value = rest[len(quote) :]
    while True:
        body, closed, after = value.partition(quote) if quote == _THREE else _to_last_quote(value)
        if closed:
            if after.strip():
                raise _bad(number, "open_quotes")
            return body, place
        if place >= len(lines):
            raise _bad(number, "open_quotes")
        value += "\n" + lines[place]
        place += 1


def _to_last_quote(value: str) -> tuple[str, str, str]:
    """A value in single quotes ends where its line does, so quotes inside it stay."""
    stripped = value.rstrip()
    return (stripped[:-1], '"', "") if stripped.endswith('"') else (value, "", "")


def _quoted(value: str) -> str:
    if _THREE in value or value.endswith('"'):
        raise _bad(1, "quotes")
    return f"{_THREE}{value}{_THREE}" if "\n" in value or '"' in value else f'"{value}"'


def _bad(line: int, reason: str, **places: object) -> BadModelfile:
    return BadModelfile(
        line=line, reason=text(f"export.modelfile.{reason}", **places), commands=list(COMMANDS)
    )
