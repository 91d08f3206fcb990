"""``mozhu datasets delete NAME``: a version or all of a data set goes into the trash."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.registry_delete import act
from mozhu.specs.datasets import DatasetDeleteSpec

COMMAND = Command(
    "datasets delete",
    act,
    DatasetDeleteSpec,
    switches=("dry_run", "yes"),
    words=1,
    first_word="name",
    usage="NAME",
)
