"""The thin scripts of the workspace, one table: path -> command, the script's own flag names, what it says of itself.

``make style`` writes the scripts from this table; a test holds the committed ones against it. A flag of a seed is
translated before parsing, so that the command itself knows one name for each thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Script:
    """``command`` is what the script runs (empty: ``mozhu`` itself); ``flags`` maps its flag names to ours.

    A flag may stand for several words (``--use_4bit`` is ``--quantization 4bit``). A flag in ``instead`` replaces the
    command (``--interactive`` makes an evaluation a conversation).
    """

    command: tuple[str, ...]
    title: str
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    instead: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _same(**names: str) -> dict[str, tuple[str, ...]]:
    """``base_model="model"``: the flag ``--base-model`` (or ``--base_model``) is ``--model``."""
    return {f"--{old}": (f"--{new}",) for old, new in names.items()}


_LORA_FLAGS = {
    **_same(
        model_name_or_path="model",
        dataset_path="dataset",
        max_seq_length="max_length",
        lora_r="lora_rank",
        per_device_train_batch_size="batch_size",
        validation_path="val_dataset",
    ),
    "--use_4bit": ("--quantization", "4bit"),
    "--use_8bit": ("--quantization", "8bit"),
}
_LORA_SCRIPT = Script(("train",), "LoRA fine-tuning (seed 004)", _LORA_FLAGS)

SCRIPTS: dict[str, Script] = {
    "4_scripts/main.py": Script((), "Every command of the toolkit (seed 002)"),
    "4_scripts/train.py": Script(("train",), "Training from 0_configs/0_train_config.json (seed 002)"),
    "finetune/create_sample_data.py": Script(
        ("data", "sample"), "Ten sample rows, or generated ones (seed 003, step 1)"
    ),
    "finetune/prepare_data.py": Script(("data", "prepare"), "Raw rows to training data (seed 003, step 2)"),
    "finetune/train_lora.py": Script(
        ("train",),
        "LoRA training (seed 003, step 3)",
        {
            **_same(
                base_model="model",
                train_data="dataset",
                val_data="val_dataset",
                epochs="num_train_epochs",
                lora_r="lora_rank",
            ),
            "--use_quantization": ("--quantization", "4bit"),
        },
    ),
    "finetune/evaluate_model.py": Script(
        ("evaluate",),
        "Evaluation, conversation and merging (seed 003, step 4)",
        _same(lora_model="checkpoint", merge_path="merge_output"),
        instead={"--interactive": ("infer", "--mode", "interactive")},
    ),
    "finetune/convert_to_gguf.py": Script(
        ("convert",),
        "A merged model as GGUF (seed 003, step 5)",
        _same(model_path="model", output="output_path"),
    ),
    "LLM/lora/lora_fine_tuning.py": _LORA_SCRIPT,
    "LLM/lora/lora_finetuning.py": _LORA_SCRIPT,
    "LLM/lora/merge_lora.py": Script(
        ("merge",),
        "An adapter into its base (seed 004)",
        _same(base_model_path="base_model", lora_adapter_path="adapter"),
    ),
    "5_models/model_registry.py": Script(("registry",), "The registry of models (seed 000)"),
    "5_models/model_converter.py": Script(
        ("convert",), "Conversion of a model's format (seed 000)", _same(input="model", output="output_path")
    ),
    "5_models/model_validator.py": Script(("registry", "validate"), "Whether a model is whole (seed 000)"),
}

_BODY = '''"""{title}.

`mozhu{command}` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
'''


def script_text(path: str) -> str:
    """The content of a thin script: three lines, no logic."""
    script = SCRIPTS[path]
    command = "".join(f" {word}" for word in script.command)
    return _BODY.format(title=script.title, command=command)


def find_script(file: str | Path) -> tuple[Script, Path]:
    """The table's entry for a script file, and the workspace root it lies in.

    Raises:
        KeyError: the file's path ends in none of the table's.
    """
    path = Path(file).resolve()
    for name, script in SCRIPTS.items():
        parts = Path(name).parts
        if path.parts[-len(parts) :] == parts:
            return script, path.parents[len(parts) - 1]
    raise KeyError(str(path))


def translate(script: Script, arguments: Sequence[str]) -> list[str]:
    """``arguments`` in the command's own names; values and unknown flags stay as they are."""
    words = list(script.command)
    for argument in arguments:
        if argument in script.instead:
            words[: len(script.command)] = script.instead[argument]
            continue
        name, equals, value = argument.partition("=")
        known = script.flags.get("--" + name[2:].replace("-", "_")) if name.startswith("--") else None
        if known is None:
            words.append(argument)
        elif equals:
            words += [*known[:-1], f"{known[-1]}={value}"]
        else:
            words += known
    return words
