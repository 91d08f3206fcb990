"""The reference pages of 7_docs: every command with its flags, every error with its words."""

from __future__ import annotations

import importlib

from mozhu.cli.help import command_help
from mozhu.cli.main import VERBS
from mozhu.kernel import errors
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.texts import LANGUAGES, page_texts, set_language

_NOTE = "<!-- 由 `make style` 生成 · written by `make style` -->\n"


def command_page() -> str:
    lines = ["# 命令参考 · Command reference\n", _NOTE]
    for verb in VERBS:
        command = importlib.import_module(VERBS[verb]).COMMAND
        lines.append(f"## mozhu {verb}\n")
        for language in LANGUAGES:
            set_language(language)
            words = command_help(command.name, command.spec, command.switches, command.usage)
            lines.append(f"```text\n{words}\n```\n")
    set_language(None)
    return "\n".join(lines)


def error_page() -> str:
    lines = ["# 错误一览 · Errors\n", _NOTE]
    for kind in sorted(all_errors(), key=lambda kind: kind.code):
        area = kind.code.split("-")[0].lower()
        lines.append(f"## {kind.code}\n")
        lines.append(f"`{kind.__name__}` · exit {kind.exit_code} · HTTP {kind.status}\n")
        for language in LANGUAGES:
            texts = page_texts(language, area)
            parts = [texts[f"{kind.code}.{part}"].replace("\n", " ") for part in ("what", "expected", "next")]
            lines.append(f"- {' '.join(filter(None, parts))}")
        lines.append("")
    return "\n".join(lines)


def all_errors() -> list[type[MozhuError]]:
    """Every error class of the catalogue that has a code of its own."""
    found = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MozhuError)
    ]
    return [kind for kind in found if kind.code]
