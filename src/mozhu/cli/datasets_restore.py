"""``mozhu datasets restore NAME``: a version or all of a data set comes out of the trash."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.registry_restore import act
from mozhu.specs.datasets import DatasetRestoreSpec

COMMAND = Command(
    "datasets restore",
    act,
    DatasetRestoreSpec,
    switches=("dry_run",),
    words=1,
    first_word="name",
    usage="NAME",
)
