"""Configuration files: JSON always, YAML and TOML with their libraries; defaults, environment, checks.

配置文件：JSON 随时可读；装有相应的库时也可读 YAML 和 TOML；支持默认值、环境变量覆盖和校验。

    from config_loader import ConfigLoader

    config = ConfigLoader().load_config("config.json", defaults={"port": 8000}, env_prefix="MYAPP")
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from config_formats import read_config, write_config

from mozhu.kernel import slots
from mozhu.kernel.paths import find_workspace
from mozhu.specs.base import Spec
from mozhu.specs.layers import Layers, Resolved, resolve


class ConfigLoader:
    """Reads and writes configuration files.

    Args:
        environment: Where overrides are read; the process's own by default.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def load_config(
        self,
        path: str | Path,
        *,
        defaults: Mapping[str, Any] | None = None,
        env_prefix: str | None = None,
    ) -> dict[str, Any]:
        """The values of ``path`` over ``defaults``, under the environment where ``env_prefix`` is given.

        读取配置；相对路径先从当前文件夹找，再到工作区的 `0_configs/` 找。

        ``MYAPP__TRAIN__LR=0.1`` sets ``config["train"]["lr"]`` for the prefix ``MYAPP``; its values are
        JSON, else text.

        Raises:
            MissingFile: FILE-001. UnknownConfigFormat: TOOLBOX-002. MissingLibrary: TOOLBOX-003.
            UnreadableConfig: TOOLBOX-004 with the line.
        """
        config = merge(defaults or {}, read_config(find_config(path)))
        return merge(config, self._overrides(config, env_prefix)) if env_prefix else config

    def save_config(self, config: Mapping[str, Any], path: str | Path) -> Path:
        """Write ``config`` in the format of the name's ending; a reader sees the old file or the new one.

        Raises:
            UnknownConfigFormat: TOOLBOX-002. MissingLibrary: TOOLBOX-003. NotWritable: FILE-002.
        """
        target = Path(path).expanduser()
        write_config(target, config)
        return target

    def load_spec(self, verb: str, path: str | Path | None = None, **flags: Any) -> Resolved[Spec]:
        """A checked request of ``verb`` (``spec``) and where each value came from (``origins``).

        检查过的请求，以及每个值的来源：默认 < 预设 < 文件 < 环境变量 < 参数。

        Without ``path`` the workspace's own file of the verb is read; what is wrong in it comes all at once.

        Raises:
            InvalidSpec: SPEC-001 listing every wrong value. BadConfigFile: SPEC-003.
            UnknownSlotName: ENV-004, no such verb.
        """
        layers = Layers(
            flags=flags,
            config=find_config(path) if path else None,
            workspace=find_workspace(),
            environment=self._environment,
        )
        model: type[Spec] = slots.load("mozhu.specs", verb)
        return resolve(model, layers)

    def _overrides(self, config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in sorted(self._environment.items()):
            first, *parts = name.split("__")
            if first.upper() == prefix.upper() and parts and all(parts):
                found = merge(found, _nested(config, parts, _value(value)))
        return found


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``; tables are merged, the rest is replaced. Both stay unchanged."""
    result = deepcopy(dict(base))
    for key, value in over.items():
        known = result.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = merge(known, value) if both else deepcopy(value)  # type: ignore[arg-type]
    return result


def find_config(path: str | Path) -> Path:
    """``path`` from here, else in the workspace's ``0_configs/``; where neither is there, as given."""
    here = Path(path).expanduser()
    workspace = None if here.exists() or here.is_absolute() else find_workspace()
    in_workspace = workspace.configs / here if workspace else here
    return in_workspace if in_workspace.exists() else here


def _nested(config: Mapping[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    """``{"train": {"lr": value}}``, each name as ``config`` writes it, in lower case where it is new."""
    known = {key.lower(): key for key in config if isinstance(key, str)}
    key = known.get(names[0].lower(), names[0].lower())
    if len(names) == 1:
        return {key: value}
    inner = config.get(key)
    return {key: _nested(inner if isinstance(inner, Mapping) else {}, names[1:], value)}


def _value(written: str) -> Any:
    """``0.1``, ``true``, ``[1, 2]`` as JSON; anything else is text."""
    try:
        return json.loads(written)
    except ValueError:
        return written
