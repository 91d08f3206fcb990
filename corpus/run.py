"""``python -m corpus.run``: plants every fault of the corpus, shows what finds each; 1 when anything is missed.

``--rows``, ``--templates``, ``--copies``, ``--hostile`` run one part; ``--json`` gives the numbers; ``--full`` also
streams a file of 2 GB through ``data check``, ``data prepare`` and ``data convert`` in a few hundred megabytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from corpus.copies import check_copies
from corpus.hostile.check import check_hostile
from corpus.rows import check_rows
from corpus.stream import check_stream
from corpus.templates import check_templates
from mozhu.kernel.texts import set_language

PARTS = {"rows": check_rows, "templates": check_templates, "copies": check_copies, "hostile": check_hostile}


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    set_language("en")
    named = [name for name in PARTS if getattr(options, name)] or list(PARTS)
    shown: dict[str, Any] = {}
    good = True
    for name in named:
        began = time.perf_counter()
        result = PARTS[name]()
        summary, lines = _SHOW[name](result)
        seconds = round(time.perf_counter() - began, 1)
        good = good and result.ok
        shown[name] = {"ok": result.ok, **summary, "seconds": seconds}
        if not options.json:
            print(*lines, sep="\n")
            print(f"{'ok  ' if result.ok else 'FAIL'} {name}: {_said(summary)}; {seconds} s\n")
    if options.full:
        shown["stream"] = check_stream(2 << 30, quiet=options.json)
        good = good and all(line["ok"] for line in shown["stream"])
    if options.json:
        print(json.dumps(shown, ensure_ascii=False, indent=2))
    return 0 if good else 1


def _rows(result: Any) -> tuple[dict[str, Any], list[str]]:
    lines = []
    for what, (file, line, field, code), found in result.lines:
        lines.append(f"{_mark(found)} {code:9} {what:50} {file}:{line} {field}")
    lines += [f"FAIL found where nothing was planted: {place}" for place in result.extra]
    lines += [f"FAIL false alarm in the clean twin: {place}" for place in result.alarms]
    numbers = {"planted": len(result.lines), "found": result.found, "extra": len(result.extra)}
    return {**numbers, "clean_rows": result.clean_rows, "false_alarms": len(result.alarms)}, lines


def _templates(result: Any) -> tuple[dict[str, Any], list[str]]:
    lines = [
        f"{_mark(line.ok)} {line.family:8} {line.kind:6} {line.name:52} {' '.join(line.found) or 'nothing'}"
        for line in (*result.faults, *result.clean)
    ]
    found = sum(line.ok for line in result.faults)
    alarms = sum(not line.ok for line in result.clean)
    numbers = {"planted": len(result.faults), "found": found}
    return {**numbers, "clean_families": len(result.clean), "false_alarms": alarms}, lines


def _copies(result: Any) -> tuple[dict[str, Any], list[str]]:
    lines = [f"     {kind:25} {found} of {count}" for kind, (found, count) in result.kinds.items()]
    lines += [f"miss {line[:200]}" for line in result.missed[:5]]
    lines += [f"more {line[:200]}" for line in result.extra[:5]]
    numbers = {
        "rows": result.rows,
        "planted": result.planted,
        "found": result.found,
        "reported": result.reported,
    }
    return {**numbers, "recall": round(result.recall, 4), "precision": round(result.precision, 4)}, lines


def _hostile(result: Any) -> tuple[dict[str, Any], list[str]]:
    lines = [
        f"{_mark(line.ok)} {' '.join(line.found) or 'nothing':18} {line.name}" for line in result.hostile
    ]
    lines += [
        f"{_mark(line.ok)} {'passes' if line.ok else ' '.join(line.found):18} {line.name}"
        for line in result.clean
    ]
    stopped, passed = (sum(line.ok for line in kind) for kind in (result.hostile, result.clean))
    numbers = {"hostile": len(result.hostile), "stopped_whole": stopped, "clean": len(result.clean)}
    return {**numbers, "passed_bit_for_bit": passed}, lines


_SHOW = {"rows": _rows, "templates": _templates, "copies": _copies, "hostile": _hostile}


def _mark(good: bool) -> str:
    return "ok  " if good else "FAIL"


def _said(numbers: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in numbers.items())


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m corpus.run", description=__doc__)
    for name in PARTS:
        parser.add_argument(f"--{name}", action="store_true", help=f"this part alone: {name}")
    parser.add_argument("--full", action="store_true", help="also a file of 2 GB; minutes")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
