"""``python -m mozhu.cli.warm ENGINE``: load the libraries of a training, then do the run that a line of input names."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from mozhu.cli.main import main
from mozhu.kernel import slots
from mozhu.kernel.imports import imported_for_good
from mozhu.kernel.paths import workspace_or_here
from mozhu.workspace.extensions import load_extensions


def wait_and_run(engine: str) -> int:
    """As ``mozhu run FOLDER --quiet``; 0 where the other side has gone without a word."""
    _load(engine)
    line = sys.stdin.buffer.readline()
    if not line.strip():
        return 0
    told: dict[str, Any] = json.loads(line)
    _print_to(told["output"])
    return main(["run", told["folder"], "--quiet", "--lang", told["language"]])


def _load(engine: str) -> None:
    """What goes wrong here goes wrong again in the run, which has words for it."""
    try:
        load_extensions(workspace_or_here())
        with imported_for_good():
            slots.load("mozhu.verbs", "train")
            slots.load_built_in("mozhu.training_engines", engine)
    except Exception:
        return


def _print_to(path: str) -> None:
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(output)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(wait_and_run(sys.argv[1]))
