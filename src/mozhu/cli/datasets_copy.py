"""``mozhu datasets copy NAME --to OWN``: a data set that one may use becomes one's own."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.registry_copy import act
from mozhu.specs.datasets import DatasetCopySpec

COMMAND = Command(
    "datasets copy", act, DatasetCopySpec, words=1, first_word="name", usage="NAME[:VERSION] --to OWN"
)
