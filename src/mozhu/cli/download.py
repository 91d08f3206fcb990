"""``mozhu download``: a model from elsewhere, as files on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call
from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.cli.remote_files import from_service, is_at_service
from mozhu.specs.download import DownloadSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    place = shlex.quote(shown(Path(spec.output_dir))) if spec.output_dir else spec.model
    return [f"mozhu train --preset lora --model {place} --dataset sample"]


_HUB = engine_command("download", DownloadSpec, _next)
# Where models come from: whether a source knows the reference that was typed, and what fetches it; first wins.
SOURCES: list[tuple[Callable[[Call], bool], Callable[[Call], int]]] = [
    (is_at_service, from_service),
    (lambda call: True, _HUB.act),
]


def act(call: Call) -> int:
    fetch = next(fetch for knows, fetch in SOURCES if knows(call))
    return fetch(call)


COMMAND = replace(_HUB, act=act, words=1, first_word="model", usage="MODEL [--flags]")
