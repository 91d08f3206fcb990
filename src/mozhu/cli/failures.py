"""How errors look at the command line: words on standard error, or one JSON object with ``--json``."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from mozhu.kernel.errors import InternalError, MozhuError
from mozhu.kernel.texts import text

_RED, _BOLD, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


def show_error(error: MozhuError, *, as_json: bool = False) -> int:
    """Print what happened, what was expected and what to do next; returns the exit code."""
    if as_json:
        print(json.dumps({"error": error.to_json()}, ensure_ascii=False, indent=2))
        return error.exit_code
    head = f"{text('cli.error')} {error.code}"
    if _has_colour():
        head = f"{_RED}{_BOLD}{head}{_PLAIN}"
    print(f"{head}: {error.what}", file=sys.stderr)
    for label, words in (("expected", error.expected), ("next", error.next)):
        if words:
            print(f"  {text('cli.' + label)}: {words}", file=sys.stderr)
    return error.exit_code


def show_bug(error: Exception, words: Sequence[str], *, as_json: bool = False) -> int:
    """Keep the details of a fault of ours in an incident file and say where it is; returns 70."""
    folder = Path(tempfile.gettempdir()) / "mozhu-incidents"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    lines = [f"command: mozhu {' '.join(words)}", f"python: {sys.version}", "", traceback.format_exc()]
    path.write_text("\n".join(lines), encoding="utf-8")
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return show_error(InternalError(incident=str(path), reason=reason), as_json=as_json)


def _has_colour() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
