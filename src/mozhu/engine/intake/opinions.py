"""Second opinions on pickles that our own scan lets pass: picklescan and fickling, where they are installed.

Neither unpickles. What picklescan calls dangerous is refused. fickling calls every file of torch suspicious, so its
doubts are told and stop nothing.
"""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from types import ModuleType

from mozhu.engine.intake.findings import noted, refused
from mozhu.engine.intake.pickles import Scanned
from mozhu.engine.intake.zips import opened_zip
from mozhu.specs.records.findings import Finding

_LARGEST_BYTES = 4 << 20


def opinions(path: Path, shown: str, scanned: Scanned) -> list[Finding]:
    """What other scanners say against the pickle of ``path``; nothing where none is installed."""
    content = _pickle_of(path, scanned)
    if content is None:
        return []
    return [*_of_picklescan(content, shown), *_of_fickling(content, shown)]


def installed() -> list[str]:
    return [name for name in ("picklescan", "fickling") if _module(name) is not None]


def _pickle_of(path: Path, scanned: Scanned) -> bytes | None:
    """The pickle of a file of torch; a legacy file has several, which our own scan alone has read."""
    if scanned.form != "zip":
        return None
    with opened_zip(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith("data.pkl"))
        return archive.read(info) if info.file_size <= _LARGEST_BYTES else None


def _of_picklescan(content: bytes, shown: str) -> list[Finding]:
    scanner = _module("picklescan.scanner")
    if scanner is None:
        return []
    try:
        result = scanner.scan_pickle_bytes(io.BytesIO(content), shown)
    except Exception as error:
        return [noted("SAFE-207", shown, scanner="picklescan", reason=type(error).__name__)]
    named = [f"{item.module}.{item.name}" for item in result.globals if item.safety.value == "dangerous"]
    return [refused("SAFE-141", shown, scanner="picklescan", reason=", ".join(named))] if named else []


def _of_fickling(content: bytes, shown: str) -> list[Finding]:
    parser, analysis = _module("fickling.fickle"), _module("fickling.analysis")
    if parser is None or analysis is None:
        return []
    try:
        result = analysis.check_safety(parser.Pickled.load(content))
        level = result.severity.name
    except Exception as error:
        return [noted("SAFE-207", shown, scanner="fickling", reason=type(error).__name__)]
    doubted = level in ("LIKELY_OVERTLY_MALICIOUS", "OVERTLY_MALICIOUS")
    return [noted("SAFE-207", shown, scanner="fickling", reason=level)] if doubted else []


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
