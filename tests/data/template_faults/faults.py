"""The 24 planted template faults: each changes a copy of a clean folder, or a file made from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mozhu.engine.export.gguf.write import plan_gguf, write_gguf
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.token_files import token_id

Kind = Literal["model", "copy", "gguf"]


@dataclass(frozen=True)
class Fault:
    """``kind``: the model's own folder is faulty; or a copy of it is; or a GGUF file made from that copy.

    ``codes``: the findings of which one must be reported.
    """

    name: str
    family: str
    kind: Kind
    codes: tuple[str, ...]
    plant: Callable[[Path], None]


def _template(*changes: tuple[str, str], end: str = "") -> Callable[[Path], None]:
    """Replace words of ``chat_template.jinja``; each must stand in it."""

    def plant(folder: Path) -> None:
        path = folder / "chat_template.jinja"
        content = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in content, f"{old!r} is not in {path}"
            content = content.replace(old, new)
        path.write_text(content + end, encoding="utf-8")

    return plant


def _last(old: str, new: str) -> Callable[[Path], None]:
    """Replace the last place of ``old`` in the template: the generation prompt stands there."""

    def plant(folder: Path) -> None:
        path = folder / "chat_template.jinja"
        before, found, after = path.read_text(encoding="utf-8").rpartition(old)
        assert found, f"{old!r} is not in {path}"
        path.write_text(before + new + after, encoding="utf-8")

    return plant


def _eos(file: str, token: str) -> Callable[[Path], None]:
    """Let ``file`` name ``token`` alone as the end."""

    def plant(folder: Path) -> None:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        if file == "tokenizer_config.json":
            content["eos_token"] = token
        else:
            content["eos_token_id"] = token_id(folder, token)
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return plant


def _second_template(old: str, new: str) -> Callable[[Path], None]:
    """Another template in ``tokenizer_config.json`` than in ``chat_template.jinja``."""

    def plant(folder: Path) -> None:
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        assert old in template
        path = folder / "tokenizer_config.json"
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["chat_template"] = template.replace(old, new)
        path.write_text(json.dumps(content), encoding="utf-8")

    return plant


def as_gguf(folder: Path, path: Path) -> Path:
    """The folder as a GGUF file."""
    write_gguf(
        plan_gguf(ModelFolder.open(folder), "F16", "tiny"),
        path,
        lambda kind, /, **fields: None,
        lambda name, value: None,
    )
    return path


_HELPFUL = "You are a helpful assistant."
_NO_TURN_END = "{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
_GEMMA_LINE = _NO_TURN_END
_LLAMA3_PROMPT = "'<|start_header_id|>assistant<|end_header_id|>\\n\\n'"

FAULTS: tuple[Fault, ...] = (
    # ------------------------------------------------------------ ChatML (Qwen2.5)
    Fault(
        "default system prompt in the prompt only",
        "chatml",
        "model",
        ("DATA-251",),
        _template(
            (
                "{%- else %}\n        {{- '<|im_start|>system\\nYou are",
                "{%- elif add_generation_prompt %}\n        {{- '<|im_start|>system\\nYou are",
            )
        ),
    ),
    Fault(
        "other default system prompt in the merged copy",
        "chatml",
        "copy",
        ("DATA-253",),
        _template((_HELPFUL, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")),
    ),
    Fault(
        "generation prompt missing",
        "chatml",
        "model",
        ("DATA-256",),
        _template(("{%- if add_generation_prompt %}", "{%- if false %}")),
    ),
    Fault(
        "generation_config stops elsewhere",
        "chatml",
        "model",
        ("DATA-262",),
        _eos("generation_config.json", "<|endoftext|>"),
    ),
    Fault(
        "tokenizer_config ends elsewhere",
        "chatml",
        "model",
        ("DATA-263",),
        _eos("tokenizer_config.json", "<|endoftext|>"),
    ),
    Fault(
        "tools in another order in the copy",
        "chatml",
        "copy",
        ("DATA-253",),
        _template(("for tool in tools", "for tool in tools | reverse")),
    ),
    # ------------------------------------------------------------ Llama 2
    Fault(
        "no EOS after an answer",
        "llama2",
        "model",
        ("DATA-261",),
        _template(("' ' + content | trim + ' ' + eos_token", "' ' + content | trim + ' '")),
    ),
    Fault(
        "double BOS",
        "llama2",
        "model",
        ("DATA-257",),
        _template(("bos_token + '[INST] '", "bos_token + bos_token + '[INST] '")),
    ),
    Fault(
        "one space less before an answer in the copy",
        "llama2",
        "copy",
        ("DATA-253",),
        _template(("' ' + content | trim + ' ' + eos_token", "content | trim + ' ' + eos_token")),
    ),
    Fault(
        "config.json ends elsewhere",
        "llama2",
        "model",
        ("DATA-263",),
        _eos("config.json", "<unk>"),
    ),
    # ------------------------------------------------------------ Llama 3
    Fault(
        "CRLF in the generation prompt",
        "llama3",
        "model",
        ("DATA-251",),
        _last("<|end_header_id|>\\n\\n", "<|end_header_id|>\\r\\n\\r\\n"),
    ),
    Fault(
        "CRLF everywhere in the copy",
        "llama3",
        "copy",
        ("DATA-253",),
        _template(("<|end_header_id|>\\n\\n", "<|end_header_id|>\\r\\n\\r\\n")),
    ),
    Fault(
        "role renamed in the generation prompt",
        "llama3",
        "model",
        ("DATA-251",),
        _last(_LLAMA3_PROMPT, _LLAMA3_PROMPT.replace("assistant", "model")),
    ),
    Fault(
        "the merged copy forgot the end of a turn",
        "llama3",
        "copy",
        ("DATA-264",),
        _eos("generation_config.json", "<|endoftext|>"),
    ),
    Fault(
        "default system prompt in the GGUF file",
        "llama3",
        "gguf",
        ("DATA-254",),
        _template(("set system_message = '' ", "set system_message = 'You are a helpful assistant.' ")),
    ),
    # ------------------------------------------------------------ Gemma
    Fault(
        "the last answer does not end its turn",
        "gemma",
        "model",
        ("DATA-261",),
        _template(
            (
                " + '<end_of_turn>\\n' }}",
                " + ('' if loop.last and role == 'model' else '<end_of_turn>\\n') }}",
            )
        ),
    ),
    Fault(
        "no line break after a turn in the copy",
        "gemma",
        "copy",
        ("DATA-253",),
        _template(("'<end_of_turn>\\n'", "'<end_of_turn>'")),
    ),
    Fault(
        "blank line at the end of the template's file",
        "gemma",
        "model",
        ("DATA-251",),
        _template(end="\n\n"),
    ),
    Fault(
        "the GGUF file ends elsewhere",
        "gemma",
        "gguf",
        ("DATA-264",),
        _eos("tokenizer_config.json", "<bos>"),
    ),
    # ------------------------------------------------------------ Mistral
    Fault(
        "system prompt before the last question in the copy",
        "mistral",
        "copy",
        ("DATA-253",),
        _template(("(system_message if loop.first else '')", "(system_message if loop.last else '')")),
    ),
    Fault(
        "chat_template.jinja and tokenizer_config.json differ",
        "mistral",
        "model",
        ("DATA-255",),
        _second_template("'[INST] ' + ", "'[INST]' + "),
    ),
    # ------------------------------------------------------------ a thinking template (Qwen3)
    Fault(
        "thinking prefix in the prompt, not in training",
        "qwen3",
        "model",
        ("DATA-251",),
        _template(
            ("(loop.last or thought)", "false"),
            ("{%- if enable_thinking is defined and enable_thinking is false %}", "{%- if true %}"),
        ),
    ),
    Fault(
        "thinking switched off in the copy",
        "qwen3",
        "copy",
        ("DATA-253",),
        _template(("{%- if enable_thinking is defined and enable_thinking is false %}", "{%- if true %}")),
    ),
    Fault(
        "earlier thoughts kept in the copy",
        "qwen3",
        "copy",
        ("DATA-253",),
        _template(("loop.index0 > last.question and (loop.last or thought)", "loop.last or thought")),
    ),
)
