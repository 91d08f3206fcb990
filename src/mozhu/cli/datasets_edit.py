"""``mozhu datasets edit NAME``: what is said of a data set, and of a version, in other words."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.registry_edit import act
from mozhu.specs.datasets import DatasetEditSpec

COMMAND = Command("datasets edit", act, DatasetEditSpec, words=1, first_word="name", usage="NAME[:VERSION]")
