"""What a check found in all: counted whole, listed as far as memory allows, written to a file without end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.data.checks.findings import RowFinding
from mozhu.kernel.files import json_line, replacing

LEVELS = ("error", "warning", "info")
# So many of each code are listed; all of them are counted and written.
LISTED = 10_000


@dataclass
class CheckReport:
    """``findings`` in the order of the rows, those about several rows last; ``rows`` counts those of each part.

    At most :data:`LISTED` findings of a code are kept; ``unlisted`` says how many more there are.
    """

    dataset: str
    rows: dict[str, int] = field(default_factory=dict)
    against: dict[str, int] = field(default_factory=dict)
    findings: list[RowFinding] = field(default_factory=list)
    unlisted: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _levels: dict[str, str] = field(default_factory=dict)
    _errors: int = 0
    _file: Any = None

    def add(self, finding: RowFinding) -> None:
        self._counts[finding.code] += 1
        self._errors += finding.level == "error"
        self._levels.setdefault(finding.code, finding.level)
        if self._counts[finding.code] <= LISTED:
            self.findings.append(finding)
        else:
            self.unlisted += 1
        if self._file is not None:
            self._file.write(json_line(finding.to_json()))

    @contextmanager
    def written_to(self, path: str | None) -> Iterator[None]:
        """Every finding added inside the block stands in the file ``path``, one a line, when it ends well."""
        if path is None:
            yield
            return
        with replacing(Path(path)) as file:
            self._file = file
            try:
                yield
            finally:
                self._file = None

    def counts(self) -> dict[str, int]:
        """How often each code was found, errors first, then the most frequent."""
        order = {code: LEVELS.index(level) for code, level in self._levels.items()}
        return dict(sorted(self._counts.items(), key=lambda item: (order[item[0]], -item[1], item[0])))

    @property
    def total(self) -> int:
        return self._counts.total()

    @property
    def errors(self) -> int:
        return self._errors

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "rows": self.rows,
            "against": self.against,
            "errors": self.errors,
            "counts": self.counts(),
            "unlisted": self.unlisted,
            "findings": [finding.to_json() for finding in self.findings],
        }
