"""``mozhu init DIR``: lay out a workspace."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown, would_write
from mozhu.kernel.texts import text
from mozhu.workspace.tree import lay_out, missing_files


def act(call: Call) -> int:
    root = Path(call.words[0] if call.words else ".").expanduser().absolute()
    if call.dry_run:
        return would_write(call, [root / name for name in missing_files(root)])
    laid = lay_out(root)
    value = {"root": str(root), "written": laid.written, "kept": laid.kept}
    words = text("init.done", path=shown(root), written=len(laid.written), kept=len(laid.kept))
    call.output.data(value, words)
    for name in laid.kept:
        call.output.say(text("init.kept", path=name))
    return 0


COMMAND = Command("init", act, switches=("dry_run",), words=1, usage="DIR")
