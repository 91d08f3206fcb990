"""One fault found in a folder of weights, as a text of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from mozhu.kernel.texts import text


def problem(name: str, **params: object) -> str:
    """The line ``problem.<name>`` of page ``model`` in the language in force."""
    return text(f"model.problem.{name}", **params)


def lines(problems: Iterable[str]) -> str:
    """All problems, one a line, as the errors of this room show them."""
    return "\n".join(f"- {item}" for item in problems)
