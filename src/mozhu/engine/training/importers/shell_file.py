"""The training command of a shell script, or of a pasted command line, as settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mozhu.engine.training.importers.given import Computed, Given, Settings
from mozhu.engine.training.importers.shell_words import Command, Word, shell_commands

_FLAG = re.compile(r"^--?[A-Za-z_][\w-]*(=.*)?$", re.DOTALL)
_OVERRIDE = re.compile(r"^\+{0,2}([A-Za-z_]\w*)=(.*)$", re.DOTALL)
_REDIRECT = re.compile(r"^\d?>|^<")
_FILES = (".yaml", ".yml", ".json")
_SWIFT_VERBS = {"sft", "pt", "rlhf"}
_SWIFT_FILES = re.compile(r"swift/cli/(?:_megatron/)?(sft|pt|rlhf)\.py$")
_LLAMA_FACTORY_FILES = re.compile(r"(^|/)(train_bash|train_sft|train)\.py$")


@dataclass(frozen=True)
class _Found:
    form: str
    verb: str | None
    rest: list[Word]


def is_training_script(content: str, source: str) -> bool:
    """Whether ``content`` holds a command that trains with one of the three."""
    return any(_training(command) for command in shell_commands(content, source))


def read_shell(content: str, source: str, read_file: Callable[[str], Settings]) -> Settings | None:
    """The settings of the first training command of ``content``; ``None`` when there is none.

    ``read_file`` reads a configuration file that the command names; what stands on the command line counts more.
    """
    for command in shell_commands(content, source):
        found = _training(command)
        if found:
            return _settings(found, command, source, read_file)
    return None


def _training(command: Command) -> _Found | None:
    """What a command trains with, also behind a launcher such as ``torchrun`` or ``accelerate launch``."""
    words = command.words
    for number, word in enumerate(words):
        name = Path(word.text).name
        following = words[number + 1].text.replace("_", "-") if number + 1 < len(words) else ""
        rest = words[number + 2 :]
        if name in {"swift", "megatron"} and following in _SWIFT_VERBS:
            return _Found("ms_swift", f"megatron {following}" if name == "megatron" else following, rest)
        if name in {"llamafactory-cli", "lmf"} and following == "train":
            return _Found("llama_factory", None, rest)
        if name == "axolotl" and following == "train":
            return _Found("axolotl", None, rest)
        if word.text in {"axolotl.cli.train", "scripts/finetune.py"}:
            return _Found("axolotl", None, words[number + 1 :])
        swift = _SWIFT_FILES.search(word.text)
        if swift:
            return _Found("ms_swift", swift[1], words[number + 1 :])
        if _LLAMA_FACTORY_FILES.search(word.text) and _trains_like_llama_factory(words[number + 1 :]):
            return _Found("llama_factory", None, words[number + 1 :])
    return None


def _trains_like_llama_factory(words: list[Word]) -> bool:
    flags = {word.text.partition("=")[0] for word in words}
    return bool({"--finetuning_type", "--stage"} & flags) or any(w.text.endswith(_FILES) for w in words[:1])


def _settings(found: _Found, command: Command, source: str, read_file: Callable[[str], Settings]) -> Settings:
    words = list(found.rest)
    cut = next((number for number, word in enumerate(words) if _REDIRECT.match(word.text)), len(words))
    words = words[:cut]
    settings = Settings(source)
    if words and words[0].text.lower().endswith(_FILES):
        settings = read_file(words.pop(0).text)
    written = Settings(source)
    while words:
        word = words.pop(0)
        override = _OVERRIDE.match(word.text)
        if override:
            written.put(override[1], Given(type(word.text)(override[2]), word.line))
        elif _FLAG.match(word.text):
            _flag(word, words, written)
        else:
            written.put(word.text, Given(None, word.line))
    config = written.keys.pop("config", None)
    if config and isinstance(config.value, str):
        settings = read_file(config.value)
    merged = replace(settings, keys={**settings.keys, **written.keys})
    merged.twice = [*settings.twice, *written.twice]
    merged.variables = {name: Given(value.text, value.line) for name, value in command.variables.items()}
    merged.form, merged.verb, merged.source = found.form, found.verb, source
    return merged


def _flag(word: Word, words: list[Word], settings: Settings) -> None:
    """``--name value``, ``--name=value``, ``--name a b c`` (a list), ``--name`` (yes), ``--no-name`` (no)."""
    name, equals, inline = word.text.lstrip("-").partition("=")
    name = name.replace("-", "_")
    values = (
        [Word(Computed(inline) if isinstance(word.text, Computed) else inline, word.line)] if equals else []
    )
    while not equals and words and not _is_flag(words[0].text):
        values.append(words.pop(0))
    if not values:
        key, value = (name[3:], "false") if name.startswith("no_") else (name, "true")
        settings.put(key, Given(value, word.line))
    elif len(values) == 1:
        settings.put(name, Given(values[0].text, word.line))
    else:
        settings.put(name, Given([value.text for value in values], word.line))


def _is_flag(written: str) -> bool:
    """A negative number is a value."""
    return bool(_FLAG.match(written)) and not re.match(r"^-\.?\d", written)
