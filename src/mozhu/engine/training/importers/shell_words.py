"""The commands of a shell script as words with their lines: quotes, comments, continued lines, variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mozhu.engine.training.importers.given import Computed
from mozhu.kernel.errors import UnreadableForeignConfig
from mozhu.kernel.texts import text

_NAME = re.compile(r"[A-Za-z_]\w*")
_ASSIGNED = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
_ENDS = "\n;&|"


@dataclass(frozen=True)
class Word:
    text: str
    line: int


@dataclass
class Command:
    """``variables`` hold for this command; those of earlier lines that only set variables are among them."""

    words: list[Word] = field(default_factory=list)
    variables: dict[str, Word] = field(default_factory=dict)


def shell_commands(content: str, source: str) -> list[Command]:
    """Every command of ``content``, in order; nothing is run, and what only a shell can work out is ``Computed``.

    Raises:
        UnreadableForeignConfig: TRAIN-104, a quote or bracket is not closed.
    """
    return _Reader(content, source).commands()


class _Reader:
    def __init__(self, content: str, source: str) -> None:
        # A blank behind the sign that continues a line is a slip that people make; a shell would end the command.
        self.content = re.sub(r"\\[ \t]+\n", "\\\n", content.replace("\r\n", "\n"))
        self.source = source
        self.at = 0
        self.known: dict[str, Word] = {}

    def commands(self) -> list[Command]:
        found: list[Command] = []
        words: list[Word] = []
        while True:
            word = self._word()
            if word is not None:
                words.append(word)
                continue
            self._end(words, found)
            words = []
            if self.at >= len(self.content):
                return found
            self.at += 1

    def _end(self, words: list[Word], found: list[Command]) -> None:
        words = words[1:] if words and words[0].text in {"export", "exec", "nohup", "time", "env"} else words
        own: dict[str, Word] = {}
        while words and (match := _ASSIGNED.match(words[0].text)):
            value = type(words[0].text)(match[2])
            own[match[1]] = Word(value, words[0].line)
            words = words[1:]
        if words:
            found.append(Command(words, {**self.known, **own}))
        else:
            self.known.update(own)

    def _word(self) -> Word | None:
        """The next word of this command; ``None`` at its end."""
        self._skip_blanks()
        if self.at >= len(self.content) or self.content[self.at] in _ENDS:
            return None
        line = self.content.count("\n", 0, self.at) + 1
        parts: list[str] = []
        computed = False
        while self.at < len(self.content):
            sign = self.content[self.at]
            if sign in " \t" or sign in _ENDS:
                break
            if sign == "\\":
                if self.content[self.at + 1 : self.at + 2] != "\n":
                    parts.append(self.content[self.at + 1 : self.at + 2])
                self.at += 2
            elif sign == "'":
                parts.append(self._until("'", line))
            elif sign == '"':
                inside, unclear = self._double(line)
                parts.append(inside)
                computed = computed or unclear
            elif sign in "$`":
                inside, unclear = self._dollar(line)
                parts.append(inside)
                computed = computed or unclear
            else:
                parts.append(sign)
                self.at += 1
        made = "".join(parts)
        return Word(Computed(made) if computed else made, line)

    def _skip_blanks(self) -> None:
        while self.at < len(self.content):
            if self.content[self.at] in " \t":
                self.at += 1
            elif self.content.startswith("\\\n", self.at):
                self.at += 2
            elif self.content[self.at] == "#":
                end = self.content.find("\n", self.at)
                self.at = len(self.content) if end < 0 else end
            else:
                return

    def _until(self, sign: str, line: int) -> str:
        end = self.content.find(sign, self.at + 1)
        if end < 0:
            raise self._unclosed(sign, line)
        inside = self.content[self.at + 1 : end]
        self.at = end + 1
        return inside

    def _double(self, line: int) -> tuple[str, bool]:
        parts: list[str] = []
        computed = False
        self.at += 1
        while self.at < len(self.content):
            sign = self.content[self.at]
            if sign == '"':
                self.at += 1
                return "".join(parts), computed
            if sign == "\\" and self.content[self.at + 1 : self.at + 2] in '"\\$`\n':
                following = self.content[self.at + 1]
                parts.append("" if following == "\n" else following)
                self.at += 2
            elif sign in "$`":
                inside, unclear = self._dollar(line)
                parts.append(inside)
                computed = computed or unclear
            else:
                parts.append(sign)
                self.at += 1
        raise self._unclosed('"', line)

    def _dollar(self, line: int) -> tuple[str, bool]:
        """``$NAME``, ``${NAME}`` or ``${NAME:-default}`` as its value; other things as written, and ``True``."""
        if self.content[self.at] == "`":
            return f"`{self._until('`', line)}`", True
        start = self.at
        self.at += 1
        if self.content.startswith("(", self.at):
            return self._bracket(start, line), True
        if self.content.startswith("{", self.at):
            inside = self._until("}", line)
            name, _, default = inside.partition(":-")
            if name in self.known:
                return self.known[name].text, isinstance(self.known[name].text, Computed)
            return (default, False) if default else (f"${{{inside}}}", True)
        match = _NAME.match(self.content, self.at)
        if not match:
            return "$", False
        self.at = match.end()
        known = self.known.get(match[0])
        return (known.text, isinstance(known.text, Computed)) if known else (f"${match[0]}", True)

    def _bracket(self, start: int, line: int) -> str:
        depth = 0
        while self.at < len(self.content):
            depth += {"(": 1, ")": -1}.get(self.content[self.at], 0)
            self.at += 1
            if depth == 0:
                return self.content[start : self.at]
        raise self._unclosed("$(", line)

    def _unclosed(self, sign: str, line: int) -> UnreadableForeignConfig:
        return UnreadableForeignConfig(
            file=self.source, line=line, column=1, reason=text("importing.reason.unclosed", sign=sign)
        )
