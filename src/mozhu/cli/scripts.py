"""What a thin script does: find itself in the table, translate its flags, run the command."""

from __future__ import annotations

import os
import sys

from mozhu.cli.main import main
from mozhu.workspace.scripts import find_script, translate


def run(file: str) -> None:
    """Run the command of the script ``file`` with the process's arguments, and end the process with its exit code."""
    script, root = find_script(file)
    sys.path.append(str(root / "1_utils"))  # seed 002's toolbox by its flat names
    if (root / "0_configs").is_dir():
        os.environ.setdefault("MOZHU_WORKSPACE", str(root))
    sys.exit(main(translate(script, sys.argv[1:])))
