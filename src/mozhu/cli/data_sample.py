"""``mozhu data sample``: the ten built-in rows as a file, or generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown, would_write
from mozhu.display.progress import open_view
from mozhu.kernel import slots
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.data import SampleSpec


def act(call: Call) -> int:
    spec: SampleSpec = call.spec
    if call.dry_run:
        return would_write(call, slots.load("mozhu.rooms", "sample_files")(spec))
    view = open_view(quiet=call.quiet)

    def emit(kind: str, **fields: Any) -> None:
        view.show({"kind": kind, "t": iso_time(utc_now()), **fields})

    try:
        path: Path = slots.load("mozhu.rooms", "write_sample")(emit=emit, **spec.model_dump())
    finally:
        view.close()
    words = text("cli.sample_written", count=spec.rows, path=shown(path), command=_next(spec, path))
    call.output.data({"path": str(path), "rows": spec.rows}, words)
    return 0


def _next(spec: SampleSpec, path: Path) -> str:
    prepare = f"mozhu data prepare --input {shown(path)}"
    if spec.kind == "qa":
        return f"{prepare} --format_type alpaca --output_dir data/finetune --output_name train"
    return f"{prepare} --output_dir data/{spec.kind} --output_name {spec.kind}"


COMMAND = Command("data sample", act, SampleSpec, switches=("dry_run", "quiet"))
