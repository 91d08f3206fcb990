"""``mozhu data sample``: the ten built-in rows as a file."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown, would_write
from mozhu.kernel import slots
from mozhu.kernel.texts import text
from mozhu.specs.data import SampleSpec


def act(call: Call) -> int:
    if call.dry_run:
        return would_write(call, [Path(call.spec.output_dir) / "sample_data.json"])
    path: Path = slots.load("mozhu.rooms", "write_sample")(Path(call.spec.output_dir))
    command = (
        f"mozhu data prepare --input {shown(path)} --format_type alpaca"
        " --output_dir data/finetune --output_name train"
    )
    call.output.data(
        {"path": str(path), "rows": 10}, text("cli.sample_written", path=shown(path), command=command)
    )
    return 0


COMMAND = Command("data sample", act, SampleSpec, switches=("dry_run",))
