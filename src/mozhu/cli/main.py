"""``mozhu``: one table of commands; only the chosen one is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType

from mozhu.kernel.errors import MozhuError, UnknownVerb
from mozhu.kernel.texts import set_language, text

# Command -> the module that holds its COMMAND. A command stands here when it works.
VERBS = {
    "init": "mozhu.cli.init",
    "demo": "mozhu.cli.demo",
    "doctor": "mozhu.cli.doctor",
    "info": "mozhu.cli.info",
    "tools": "mozhu.cli.tools",
    "shell": "mozhu.cli.shell",
    "data sample": "mozhu.cli.data_sample",
    "data prepare": "mozhu.cli.data_prepare",
    "data convert": "mozhu.cli.data_convert",
    "data check": "mozhu.cli.data_check",
    "data fix": "mozhu.cli.data_fix",
    "data stats": "mozhu.cli.data_stats",
    "data preview": "mozhu.cli.data_preview",
    "data parity": "mozhu.cli.data_parity",
    "forecast": "mozhu.cli.forecast",
    "train": "mozhu.cli.train",
    "config import": "mozhu.cli.config_import",
    "evaluate": "mozhu.cli.evaluate",
    "download": "mozhu.cli.download",
    "upload": "mozhu.cli.upload",
    "merge": "mozhu.cli.merge",
    "adapters list": "mozhu.cli.adapters_list",
    "adapters show": "mozhu.cli.adapters_show",
    "adapters compare": "mozhu.cli.adapters_compare",
    "adapters combine": "mozhu.cli.adapters_combine",
    "adapters scale": "mozhu.cli.adapters_scale",
    "adapters extract": "mozhu.cli.adapters_extract",
    "convert": "mozhu.cli.convert",
    "certify": "mozhu.cli.certify",
    "verify": "mozhu.cli.verify",
    "inspect": "mozhu.cli.inspect",
    "infer": "mozhu.cli.infer",
    "run": "mozhu.cli.run",
    "runs list": "mozhu.cli.runs_list",
    "runs show": "mozhu.cli.runs_show",
    "runs watch": "mozhu.cli.runs_watch",
    "runs resume": "mozhu.cli.runs_resume",
    "runs stop": "mozhu.cli.runs_stop",
    "registry list": "mozhu.cli.registry_list",
    "registry register": "mozhu.cli.registry_register",
    "registry show": "mozhu.cli.registry_show",
    "registry lineage": "mozhu.cli.registry_lineage",
    "registry edit": "mozhu.cli.registry_edit",
    "registry share": "mozhu.cli.registry_share",
    "registry copy": "mozhu.cli.registry_copy",
    "registry report": "mozhu.cli.registry_report",
    "registry rate": "mozhu.cli.registry_rate",
    "registry suggest": "mozhu.cli.registry_suggest",
    "registry validate": "mozhu.cli.registry_validate",
    "registry rescan": "mozhu.cli.registry_rescan",
    "registry delete": "mozhu.cli.registry_delete",
    "registry restore": "mozhu.cli.registry_restore",
    "registry alias": "mozhu.cli.registry_alias",
    "registry gc": "mozhu.cli.registry_gc",
    "registry fsck": "mozhu.cli.registry_fsck",
    "datasets register": "mozhu.cli.datasets_register",
    "datasets list": "mozhu.cli.datasets_list",
    "datasets show": "mozhu.cli.datasets_show",
    "datasets validate": "mozhu.cli.datasets_validate",
    "datasets edit": "mozhu.cli.datasets_edit",
    "datasets share": "mozhu.cli.datasets_share",
    "datasets alias": "mozhu.cli.datasets_alias",
    "datasets copy": "mozhu.cli.datasets_copy",
    "datasets delete": "mozhu.cli.datasets_delete",
    "datasets restore": "mozhu.cli.datasets_restore",
    "up": "mozhu.cli.up",
    "openapi": "mozhu.cli.openapi",
    "engines install": "mozhu.cli.engines_install",
    "engines list": "mozhu.cli.engines_list",
    "engines remove": "mozhu.cli.engines_remove",
}
_GROUPS = sorted({verb.split()[0] for verb in VERBS if " " in verb})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors come as catalogued texts on standard error."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        set_language(_language_flag(words))
        return _dispatch(words)
    except MozhuError as error:
        if debug:
            raise
        return int(_failures().show_error(error, as_json="--json" in words))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `mozhu … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return int(_failures().show_bug(error, words, as_json="--json" in words))


def find_verb(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command that ``words`` begin with, and the rest.

    Raises:
        UnknownVerb: CLI-001 with the nearest names.
    """
    for size in (2, 1):
        name = " ".join(words[:size])
        if name in VERBS:
            return name, list(words[size:])
    name = " ".join(words[: 2 if words[0] in _GROUPS else 1])
    near = get_close_matches(name, [*VERBS, *_GROUPS], 3, 0.5) or [
        verb for verb in VERBS if verb.split()[0] == words[0]
    ]
    raise UnknownVerb(name=name, near=near or sorted(VERBS))


def _dispatch(words: list[str]) -> int:
    words, rest = _without_leading_flags(words)
    if not words or words[0] in {"-h", "--help"}:
        print(_overview(list(VERBS)))
        return 0
    if words[0] in {"--version", "-V"}:
        print(f"mozhu {importlib.import_module('mozhu').__version__}")
        return 0
    if words[0] in _GROUPS and (len(words) == 1 or words[1] in {"-h", "--help"}):
        print(_overview([verb for verb in VERBS if verb.split()[0] == words[0]]))
        return 0
    name, arguments = find_verb(words)
    command = importlib.import_module(VERBS[name]).COMMAND
    code: int = command.run(arguments + rest)
    return code


def _without_leading_flags(words: list[str]) -> tuple[list[str], list[str]]:
    """``mozhu --lang zh train`` is ``mozhu train --lang zh``: the words from the command on, and the flags before."""
    leading: list[str] = []
    while words and (words[0].startswith("--lang") or words[0] == "--debug"):
        size = 2 if words[0] == "--lang" else 1
        leading += words[:size]
        words = words[size:]
    return words, leading


def _language_flag(words: Sequence[str]) -> str | None:
    for position, word in enumerate(words):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang" and position + 1 < len(words):
            return words[position + 1]
    return None


def _overview(verbs: Sequence[str]) -> str:
    width = max(len(verb) for verb in verbs) + 2
    lines = [
        text("cli.tagline"),
        "",
        f"{text('cli.usage')}: mozhu COMMAND [--flags]",
        "",
        f"{text('cli.verbs')}:",
    ]
    for verb in verbs:
        lines.append(f"  {verb:<{width}}{text('verb_' + verb.replace(' ', '_') + '.summary')}")
    lines += ["", text("cli.more")]
    return "\n".join(lines)


def _failures() -> ModuleType:
    return importlib.import_module("mozhu.cli.failures")


if __name__ == "__main__":
    sys.exit(main())
