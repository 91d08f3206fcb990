"""``mozhu datasets share NAME``: who may do what with a data set, told and changed."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.registry_share import act
from mozhu.specs.datasets import DatasetShareSpec

COMMAND = Command("datasets share", act, DatasetShareSpec, words=1, first_word="name", usage="NAME")
