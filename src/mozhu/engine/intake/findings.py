"""What the intake says of a file: one finding a fault, with the file's name among its figures."""

from __future__ import annotations

from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding


def refused(code: str, file: str, **params: object) -> Finding:
    """A fault for which the whole upload is refused."""
    return Finding("error", code, {"file": file, **params})


def noted(code: str, file: str, **params: object) -> Finding:
    """Something that a person should know and that stops nothing."""
    return Finding("warning", code, {"file": file, **params})


def reason(word: str, /, **params: object) -> str:
    """Why, in the language in force: the words of ``safe.reason.<word>``."""
    return text(f"safe.reason.{word}", **params)


def is_refused(findings: list[Finding]) -> bool:
    return any(finding.level == "error" for finding in findings)
