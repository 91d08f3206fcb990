"""Settings out of YAML, with the line of each. Needs the ``[data]`` extra."""

from __future__ import annotations

from typing import Any

import yaml

from mozhu.engine.training.importers.given import Given, Path, Settings
from mozhu.kernel.errors import UnreadableForeignConfig
from mozhu.kernel.texts import text

_DEEPEST = 4


def read_yaml(content: str, source: str) -> Settings:
    """The settings of one YAML mapping; nothing in it is executed or made into an object.

    Raises:
        UnreadableForeignConfig: TRAIN-104, with line and column.
    """
    loader = yaml.SafeLoader(content)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UnreadableForeignConfig(
                file=source, line=1, column=1, reason=text("importing.reason.mapping")
            )
        settings = Settings(source)
        loader.flatten_mapping(node)
        for key, value in node.value:
            lines: dict[Path, int] = {}
            _mark(value, (), lines)
            name = str(loader.construct_object(key, deep=True))
            made = loader.construct_object(value, deep=True)
            settings.put(name, Given(made, key.start_mark.line + 1, lines))
        return settings
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise UnreadableForeignConfig(
            file=source,
            line=mark.line + 1 if mark else 1,
            column=mark.column + 1 if mark else 1,
            reason=error.problem or str(error),
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableForeignConfig(
            file=source, line=1, column=1, reason=str(error).splitlines()[0]
        ) from error
    finally:
        loader.dispose()


def _mark(node: Any, path: Path, lines: dict[Path, int]) -> None:
    if path:
        lines[path] = node.start_mark.line + 1
    if len(path) >= _DEEPEST:
        return
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _mark(item, (*path, number), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                _mark(value, (*path, key.value), lines)
