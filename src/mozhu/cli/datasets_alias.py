"""``mozhu datasets alias NAME:VERSION --alias ALIAS``: ``NAME@ALIAS`` is that version from now on."""

from __future__ import annotations

from mozhu.cli.command import Command
from mozhu.cli.registry_alias import act
from mozhu.specs.datasets import DatasetAliasSpec

COMMAND = Command(
    "datasets alias",
    act,
    DatasetAliasSpec,
    switches=("dry_run",),
    words=1,
    first_word="name",
    usage="NAME:VERSION --alias ALIAS",
)
