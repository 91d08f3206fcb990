"""One output object: data on standard output, talk on standard error, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mozhu.kernel.files import finite


@dataclass(frozen=True)
class Output:
    as_json: bool = False

    def data(self, value: Any, human: str | None = None) -> None:
        """The command's result: ``value`` as JSON with ``--json``, else ``human``."""
        if self.as_json:
            print(json.dumps(finite(value), ensure_ascii=False, indent=2, default=str))
        elif human is not None:
            print(human)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, value: Any) -> None:
        """A table for people; ``value`` is the same as JSON."""
        if self.as_json:
            self.data(value)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))  # as it is: `[x]` is no markup
        Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200).print(table)

    def say(self, words: str) -> None:
        """Talk to the person; never part of the data."""
        print(words, file=sys.stderr)
