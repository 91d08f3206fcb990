"""What every command is made of: a spec for its flags, and a function that acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mozhu.cli.flags import parse_flags
from mozhu.cli.help import command_help
from mozhu.cli.output import Output
from mozhu.kernel.paths import Workspace, find_workspace, workspace_or_here
from mozhu.specs.base import Spec
from mozhu.specs.layers import Layers, Resolved, resolve


@dataclass(frozen=True)
class Call:
    """One invocation: the resolved spec, the words that are no flags, and the common flags."""

    spec: Any
    origins: dict[str, str]
    preset: str | None
    words: list[str]
    switches: dict[str, str | bool]
    output: Output
    workspace: Workspace | None

    @property
    def home(self) -> Workspace:
        """The workspace in force, else the current folder taken as one."""
        return self.workspace or workspace_or_here()

    @property
    def dry_run(self) -> bool:
        return bool(self.switches.get("dry_run"))

    @property
    def quiet(self) -> bool:
        return bool(self.switches.get("quiet")) or self.output.as_json


@dataclass(frozen=True)
class Command:
    """``name`` as in ``VERBS``; ``spec`` gives its flags; ``act`` does it and returns the exit code.

    ``switches`` are further flags without a value; ``words`` how many plain words it takes at most, of which the first
    is the value of the field ``first_word``, where that is named.
    """

    name: str
    act: Callable[[Call], int]
    spec: type[Spec] | None = None
    switches: tuple[str, ...] = ()
    words: int = 0
    usage: str = ""
    first_word: str = ""

    def run(self, arguments: Sequence[str]) -> int:
        parsed = parse_flags(self.name, self.spec, self.switches, self.words, arguments)
        if parsed.help:
            print(command_help(self.name, self.spec, self.switches, self.usage))
            return 0
        if self.first_word and parsed.words:
            parsed.values.setdefault(self.first_word, parsed.words[0])
        workspace = find_workspace()
        resolved: Resolved[Any] | None = None
        if self.spec is not None:
            layers = Layers(
                flags=parsed.values, preset=parsed.preset, config=parsed.config, workspace=workspace
            )
            resolved = resolve(self.spec, layers)
        return self.act(
            Call(
                spec=resolved.spec if resolved else None,
                origins=resolved.origins if resolved else {},
                preset=resolved.preset if resolved else None,
                words=parsed.words,
                switches=parsed.switches,
                output=Output(as_json=bool(parsed.switches.get("json"))),
                workspace=workspace,
            )
        )
