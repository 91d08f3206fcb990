"""Where things lie in a workspace, and the naming rules of seed 000."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mozhu.kernel.errors import BadName

NUMBERED = (
    "0_configs",
    "1_utils",
    "2_core",
    "3_agents",
    "4_scripts",
    "5_models",
    "6_output",
    "7_docs",
)
# Seed 000's tree under 5_models/.
MODEL_TREE = (
    "pretrained/qwen",
    "pretrained/llama",
    "pretrained/custom",
    "finetuned/lora",
    "finetuned/qlora",
    "finetuned/full",
    "finetuned/multimodal",
    "checkpoints/training_logs",
    "checkpoints/intermediate",
    "exports/onnx",
    "exports/tensorrt",
    "exports/safetensors",
)

_PART = r"[A-Za-z0-9][A-Za-z0-9._]*"
_PRETRAINED = re.compile(
    rf"^(?P<family>{_PART})-(?P<size>\d+(?:\.\d+)?[KMBT])(?:-(?P<variant>[A-Za-z0-9._-]+))?$"
)
_FINETUNED = re.compile(
    r"^(?P<base>.+)-(?P<task>[\w.]+)-(?P<train_type>lora|qlora|full|multimodal)-(?P<timestamp>\d{8}(?:\d{6})?)$"
)
_CHECKPOINT = re.compile(r"^checkpoint-(?P<step>\d+|final)$")
_SEMVER = re.compile(r"^v(\d+)\.(\d+)\.(\d+)$")
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")
# A name that is safe as a folder on every system; Chinese characters are welcome.
_SAFE = re.compile(r"^(?!\.)[^\x00-\x1f/\\:*?\"<>|]{1,200}(?<![. ])$")


@dataclass(frozen=True)
class Workspace:
    """The numbered tree under ``root``."""

    root: Path

    @property
    def configs(self) -> Path:
        return self.root / "0_configs"

    @property
    def models(self) -> Path:
        return self.root / "5_models"

    @property
    def output(self) -> Path:
        return self.root / "6_output"

    @property
    def training_log(self) -> Path:
        """The log that seed 002 prints, common to all training runs of the workspace."""
        return self.output / "training" / "logs" / "training.log"


def find_workspace(start: Path | None = None) -> Workspace | None:
    """The workspace around ``start``: ``MOZHU_WORKSPACE``, else the nearest folder upwards with ``0_configs``."""
    named = os.environ.get("MOZHU_WORKSPACE")
    if named:
        return Workspace(Path(named).expanduser().absolute())
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / "0_configs").is_dir():
            return Workspace(folder)
    return None


def workspace_or_here() -> Workspace:
    """The workspace in force, else the current folder taken as one (only what is written there is made)."""
    return find_workspace() or Workspace(Path.cwd())


def looks_like_path(ref: str) -> bool:
    """Whether ``ref`` can only be meant as a path: no name and no hub id is written so."""
    return ref.startswith((".", "~", "/", "\\")) or ref.count("/") > 1 or Path(ref).is_absolute()


def check_name(name: str) -> str:
    """``name``, when it can be the name of a model, version, data set or run.

    Raises:
        BadName: FILE-008.
    """
    if not _SAFE.match(name) or name in {".", ".."}:
        raise BadName(name=name)
    return name


def pretrained_name(family: str, size: str, variant: str = "") -> str:
    """``{model_family}-{size}-{variant}``, for example ``Qwen2.5-7B-Instruct``."""
    return check_name("-".join(part for part in (family, size, variant) if part))


def parse_pretrained_name(name: str) -> dict[str, str] | None:
    match = _PRETRAINED.match(name)
    return {key: value or "" for key, value in match.groupdict().items()} if match else None


def finetuned_name(base: str, task: str, train_type: str, when: datetime) -> str:
    """``{base_model}-{task}-{train_type}-{timestamp}``, for example ``Qwen2.5-7B-medical-lora-20241014``."""
    base_name = base.rstrip("/").replace("\\", "/").split("/")[-1]
    parsed = parse_pretrained_name(base_name)
    short = f"{parsed['family']}-{parsed['size']}" if parsed else base_name
    return check_name(f"{short}-{_word(task)}-{train_type}-{when:%Y%m%d}")


def parse_finetuned_name(name: str) -> dict[str, str] | None:
    match = _FINETUNED.match(name)
    return match.groupdict() if match else None


def checkpoint_name(step: int | None) -> str:
    """``checkpoint-{step}``; ``None`` is ``checkpoint-final``."""
    return "checkpoint-final" if step is None else f"checkpoint-{step}"


def checkpoint_step(name: str) -> int | None:
    """The step of a checkpoint folder's name; ``None`` for ``checkpoint-final`` and for anything else."""
    match = _CHECKPOINT.match(name)
    return int(match["step"]) if match and match["step"] != "final" else None


def is_semantic_version(version: str) -> bool:
    """Whether ``version`` is ``vX.Y.Z`` as seed 000 writes it."""
    return _SEMVER.match(version) is not None


def next_version(last: str | None) -> str:
    """The version that follows ``last`` in its own style: ``v1``->``v2``, ``v2.1``->``v2.2``, none -> ``v1``."""
    if not last:
        return "v1"
    match = _LAST_NUMBER.search(last)
    if match is None:
        return f"{last}_2"
    return f"{last[: match.start()]}{int(match[0]) + 1}{last[match.end() :]}"


def dataset_word(value: str) -> str:
    """What lies at ``value``, a path or a reference, as one word of a name: without folders and endings."""
    return _word(value)


def _word(value: str) -> str:
    """``value`` as one word of a name: its last path part without endings, blanks as underscores."""
    stem = re.split(r"[/\\]", value.rstrip("/\\"))[-1].split(".")[0]
    return re.sub(r"[^\w]+", "_", stem).strip("_") or "task"
