"""A model folder as its files describe it: family, shards, tensors, template, limits. Reads no weights."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mozhu.engine.weights.headers import NAME_OF_DTYPE, TensorInfo
from mozhu.engine.weights.problems import lines, problem
from mozhu.engine.weights.shards import ADAPTER_WEIGHTS, SINGLE, Shards, pickled_files, read_shards
from mozhu.engine.weights.token_files import TOKENIZER_FILES, eos_ids, read_template
from mozhu.kernel.errors import DamagedWeights, MissingFile, NotAModel, UnsafeWeights
from mozhu.kernel.files import read_json

CONFIG, ADAPTER_CONFIG = "config.json", "adapter_config.json"
_LENGTH_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
)
_LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")
_OUTPUT_HEADS = ("lm_head.weight", "output.weight", "embed_out.weight")


@dataclass(frozen=True)
class ModelFolder:
    """A checked folder of a model or of an adapter.

    ``shards`` are in order; ``tensors`` merges their headers. ``config`` is ``config.json`` (empty for an
    adapter), ``adapter_config`` is ``adapter_config.json`` (``None`` for a model).
    """

    path: Path
    kind: Literal["model", "adapter"]
    config: dict[str, Any]
    adapter_config: dict[str, Any] | None
    shards: tuple[Path, ...]
    tensors: dict[str, TensorInfo]

    @classmethod
    def open(cls, path: str | Path) -> ModelFolder:
        """The folder ``path``, with its configuration read and every header checked.

        Raises:
            MissingFile: FILE-001. NotAModel: MODEL-001 with what is missing. UnsafeWeights: MODEL-005, only
            pickled weights. DamagedWeights: MODEL-004 with every fault. BadJson: FILE-004.
        """
        folder = Path(path).expanduser()
        if not folder.exists():
            raise MissingFile(path=str(path))
        adapter = is_adapter_folder(folder)
        shards = read_shards(folder, ADAPTER_WEIGHTS if adapter else SINGLE)
        _check_parts(folder, adapter, shards)
        config = {} if adapter else _object(folder / CONFIG)
        problems = shards.problems or _layer_problems(config, shards.tensors)
        if problems:
            raise DamagedWeights(path=str(folder), problems=lines(problems))
        settings = _object(folder / ADAPTER_CONFIG) if adapter else None
        kind: Literal["model", "adapter"] = "adapter" if adapter else "model"
        return cls(folder, kind, config, settings, tuple(shards.files), shards.tensors)

    @property
    def family(self) -> str:
        """``model_type`` of the configuration, for example ``qwen2``; of an adapter its ``peft_type``."""
        if self.adapter_config is not None:
            return str(self.adapter_config.get("peft_type", "")).lower()
        return str(self.config.get("model_type", ""))

    @property
    def architecture(self) -> str:
        names = self.config.get("architectures") or [""]
        return str(names[0])

    @property
    def text_config(self) -> dict[str, Any]:
        """The part of the configuration that describes the language model (nested in vision models)."""
        nested = self.config.get("text_config")
        return {**self.config, **nested} if isinstance(nested, dict) else self.config

    @property
    def is_vision(self) -> bool:
        return isinstance(self.config.get("vision_config"), dict)

    @property
    def parameter_count(self) -> int:
        return sum(info.count for info in self.tensors.values())

    @property
    def weight_bytes(self) -> int:
        return sum(info.size_bytes for info in self.tensors.values())

    @property
    def dtype(self) -> str:
        """The type that holds most of the bytes, by torch's name: ``bfloat16``, ``float32`` …"""
        sizes: Counter[str] = Counter()
        for info in self.tensors.values():
            sizes[info.dtype] += info.size_bytes
        code = sizes.most_common(1)[0][0] if sizes else ""
        return NAME_OF_DTYPE.get(code, code.lower())

    @property
    def tied(self) -> bool:
        """Whether the output head is the embedding, by the configuration, else by the tensors."""
        told = self.config.get("tie_word_embeddings", self.text_config.get("tie_word_embeddings"))
        if isinstance(told, bool):
            return told
        return self.kind == "model" and not any(name.endswith(_OUTPUT_HEADS) for name in self.tensors)

    @property
    def max_length(self) -> int | None:
        """Tokens of context that the configuration allows."""
        found = [self.text_config.get(key) for key in _LENGTH_KEYS]
        return next((value for value in found if isinstance(value, int) and value > 0), None)

    @property
    def vocab_size(self) -> int | None:
        value = self.text_config.get("vocab_size")
        return value if isinstance(value, int) else None

    @property
    def has_tokenizer(self) -> bool:
        return any((self.path / name).is_file() for name in TOKENIZER_FILES)

    @cached_property
    def template(self) -> str | None:
        """The chat template's text, or ``None``."""
        return read_template(self.path)

    @cached_property
    def eos_ids(self) -> tuple[int, ...]:
        """Ids that end an answer, by generation_config, config and tokenizer, in that order."""
        return eos_ids(self.path, self.config)

    @property
    def rank(self) -> int | None:
        return (self.adapter_config or {}).get("r")

    @property
    def alpha(self) -> float | None:
        return (self.adapter_config or {}).get("lora_alpha")

    @property
    def base_name(self) -> str | None:
        """What an adapter calls its base; a path or a hub id."""
        return (self.adapter_config or {}).get("base_model_name_or_path") or None

    @property
    def targets(self) -> tuple[str, ...]:
        """The modules an adapter changes, as its configuration names them."""
        found = (self.adapter_config or {}).get("target_modules") or ()
        return (found,) if isinstance(found, str) else tuple(sorted(map(str, found)))


def is_adapter_folder(folder: Path) -> bool:
    """Whether ``folder`` is a PEFT adapter's.

    Its settings alone decide, also beside full weights: transformers goes by them too, and puts the adapter
    onto whatever it loads from there.
    """
    return (folder / ADAPTER_CONFIG).is_file()


def is_model_folder(folder: Path) -> bool:
    """Whether ``folder`` has a model's configuration; its weights are checked when it is opened."""
    return (folder / CONFIG).is_file() or is_adapter_folder(folder)


def quantised_folder(folder: Path) -> bool:
    """Whether ``folder`` is a model's whose configuration says that its weights are packed."""
    config = folder / CONFIG
    value = read_json(config) if config.is_file() else None
    return isinstance(value, dict) and isinstance(value.get("quantization_config"), dict)


def _check_parts(folder: Path, adapter: bool, shards: Shards) -> None:
    missing = [] if adapter or (folder / CONFIG).is_file() else [CONFIG]
    if not shards.files and not shards.problems:
        pickled = pickled_files(folder)
        if pickled and not missing:
            raise UnsafeWeights(path=str(folder), files=pickled)
        missing.append(ADAPTER_WEIGHTS if adapter else SINGLE)
    if missing:
        raise NotAModel(path=str(folder), missing=missing)


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedWeights(
            path=str(path.parent), problems=lines([problem("not_an_object", file=path.name)])
        )
    return value


def _layer_problems(config: dict[str, Any], tensors: dict[str, TensorInfo]) -> list[str]:
    """Layers that the configuration counts and no file holds."""
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config
    count = text.get("num_hidden_layers")
    names = [name for name in tensors if "visual" not in name and "vision" not in name]
    found = {int(match[1]) for name in names if (match := _LAYER.search(name))}
    if not isinstance(count, int) or not found:
        return []
    missing = sorted(set(range(count)) - found)
    return [problem("missing_layers", layers=", ".join(map(str, missing)), count=count)] if missing else []
