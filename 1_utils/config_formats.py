"""Configuration files in three formats; YAML and TOML need a library, JSON needs none.

三种格式的配置文件；`config_loader` 用它读写。
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import BadJson, MissingLibrary, UnknownConfigFormat, UnreadableConfig
from mozhu.kernel.files import read_json, read_text, write_json, write_text
from mozhu.kernel.texts import text

_KINDS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
# What reads or writes a format: modules in order of preference, and the last one's name for `pip install`.
_LIBRARIES = {
    "yaml": (("yaml",), "pyyaml"),
    "toml": (("tomllib", "tomli"), "tomli"),
    "toml_writer": (("tomli_w",), "tomli_w"),
}
_AT_LINE = re.compile(r"at line (\d+)")


def read_config(path: Path) -> dict[str, Any]:
    """The values of a configuration file.

    Raises:
        MissingFile: FILE-001. UnknownConfigFormat: TOOLBOX-002. MissingLibrary: TOOLBOX-003.
        UnreadableConfig: TOOLBOX-004 with the line.
    """
    value = {"json": _read_json, "yaml": _read_yaml, "toml": _read_toml}[_kind(path)](path)
    if not isinstance(value, dict):
        raise UnreadableConfig(path=str(path), line=1, reason=text("toolbox.expected.object"))
    return value


def write_config(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` in the format of the name's ending, whole or not at all.

    Raises:
        UnknownConfigFormat: TOOLBOX-002. MissingLibrary: TOOLBOX-003. NotWritable: FILE-002.
    """
    kind = _kind(path)
    if kind == "json":
        write_json(path, dict(values))
    elif kind == "yaml":
        write_text(path, _library("yaml", path).safe_dump(dict(values), allow_unicode=True, sort_keys=False))
    else:
        write_text(path, _library("toml_writer", path).dumps(dict(values)))


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except BadJson as error:
        raise UnreadableConfig(**error.params) from error


def _read_yaml(path: Path) -> Any:
    yaml = _library("yaml", path)
    try:
        value = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        raise UnreadableConfig(path=str(path), line=mark.line + 1 if mark else 1, reason=reason) from error
    return {} if value is None else value


def _read_toml(path: Path) -> Any:
    toml = _library("toml", path)
    try:
        return toml.loads(read_text(path))
    except toml.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else len(read_text(path).splitlines())
        raise UnreadableConfig(path=str(path), line=line, reason=str(error)) from error


def _kind(path: Path) -> str:
    try:
        return _KINDS[path.suffix.lower()]
    except KeyError:
        raise UnknownConfigFormat(path=str(path)) from None


def _library(name: str, path: Path) -> Any:
    modules, package = _LIBRARIES[name]
    for module in modules:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError:
            continue
    raise MissingLibrary(path=str(path), library=package)
