"""``mozhu runs resume FOLDER``: the same as ``mozhu run FOLDER``."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.run import act

COMMAND = Command("runs resume", act, switches=("dry_run", "quiet"), words=1, usage="FOLDER")
