"""Loads a model: weights from safetensors on this disk, never code, an adapter only on its own base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
)
from transformers.utils import logging as transformers_logging

from mozhu.engine.weights.adapter_fit import check_adapter_fits
from mozhu.engine.weights.base_record import read_base_record
from mozhu.engine.weights.device import free_and_total_bytes, pick_device, pick_dtype
from mozhu.engine.weights.fingerprint import differing_parts, folder_fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.head_record import head_of
from mozhu.engine.weights.problems import lines, problem
from mozhu.engine.weights.references import FoundModel, find_model
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import TOKENIZER_FILES
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import BaseMismatch, DamagedWeights, NotEnoughMemory, UnsupportedModel
from mozhu.kernel.files import human_size

_SHOWN = 8
_NEW_HEAD = ("score.", "classifier.")


@dataclass(frozen=True)
class OpenModel:
    """A model ready to answer, with what is needed to speak to it. ``folder`` is the base's."""

    model: Any
    tokenizer: Any
    renderer: Renderer
    found: FoundModel
    folder: ModelFolder
    device: torch.device
    dtype: torch.dtype


def open_model(
    ref: str | FoundModel,
    *,
    base: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    merge: bool = False,
) -> OpenModel:
    """The model that ``ref`` means, loaded, with its tokenizer and renderer.

    Raises:
        What :func:`find_model`, :func:`load_model` and :class:`Renderer` raise.
    """
    found = find_model(ref, base=base) if isinstance(ref, str) else ref
    renderer = Renderer.from_folder(tokenizer_folder(found), base=found.base)
    model = load_model(found, dtype=dtype, device=device, merge=merge)
    folder = ModelFolder.open(found.base)
    return OpenModel(model, renderer.tokenizer, renderer, found, folder, model.device, model.dtype)


def load_model(
    found: FoundModel, *, dtype: str = "auto", device: str = "auto", merge: bool = False, verify: bool = True
) -> Any:
    """The model in evaluation mode on its device: transformers' own, or a ``PeftModel`` with its adapter.

    Args:
        dtype: ``auto`` or a torch name; see :func:`pick_dtype`.
        merge: Put the adapter into the weights and give back the plain model.
        verify: Compare the base with the fingerprint that the adapter recorded (reads the weights once more).

    Raises:
        BaseMismatch: MODEL-008. AdapterDoesNotFit: MODEL-009. DamagedWeights: MODEL-004, also for weights
        that the architecture needs and no file holds. UnsupportedModel: MODEL-013. WrongDevice: MODEL-014.
    """
    base = ModelFolder.open(found.base)
    adapter = ModelFolder.open(found.adapter) if found.adapter is not None else None
    if adapter is not None:
        check_adapter_fits(adapter, base, verify=verify)
        if verify:
            check_base(adapter, base)
    place = pick_device(device)
    head = head_of(adapter) if adapter is not None else None
    model = load_base(base, place, pick_dtype(place, base, dtype), head=head.config if head else None)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter.path), is_trainable=False, local_files_only=True)
        model = model.merge_and_unload(safe_merge=True) if merge else model
    return model.eval()


def load_base(
    folder: ModelFolder,
    device: torch.device,
    dtype: torch.dtype,
    *,
    head: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """The full model of ``folder`` on ``device``, in evaluation mode; ``more`` goes to transformers as it is.

    Args:
        head: Give it a new scoring head instead of its language-model head, and these values of its configuration.

    Attention is PyTorch's fused one (SDPA) wherever the architecture supports it, which transformers decides.

    Raises:
        DamagedWeights: MODEL-004. UnsupportedModel: MODEL-013. NotEnoughMemory: ENV-002.
    """
    quantised = "quantization_config" in more or bool(folder.config.get("quantization_config"))
    if quantised:  # it is quantised where it will stay, and cannot be moved
        more = {**more, "device_map": {"": device}}
    try:
        with without_bars():
            kind = model_class(folder) if head is None else AutoModelForSequenceClassification
            model, told = kind.from_pretrained(
                str(folder.path),
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, all of them at once
                **(head or {}),
                **more,
            )
        if head is not None:
            told["missing_keys"] = [name for name in told["missing_keys"] if not name.startswith(_NEW_HEAD)]
            _set_padding(model, folder)
        _check_told(folder, told)
        return model.eval() if quantised else model.to(device).eval()
    except (torch.OutOfMemoryError, MemoryError) as error:
        free, total = free_and_total_bytes(device)
        raise NotEnoughMemory(free=human_size(free), total=human_size(total)) from error
    except (ValueError, KeyError, ImportError, RuntimeError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsupportedModel(path=str(folder.path), family=folder.family or "?", reason=reason) from error


def _set_padding(model: Any, folder: ModelFolder) -> None:
    """Without a padding token transformers scores single rows only."""
    if model.config.pad_token_id is None:
        found = load_tokenizer(folder.path)
        model.config.pad_token_id = (
            found.pad_token_id if found.pad_token_id is not None else found.eos_token_id
        )


def _check_told(folder: ModelFolder, told: dict[str, Any]) -> None:
    """Weights that transformers would make up: those in no file, and those of another shape."""
    problems = []
    missing, mismatched = sorted(told["missing_keys"]), sorted(told["mismatched_keys"])
    if missing:
        shown = ", ".join(f"`{name}`" for name in missing[:_SHOWN]) + (" …" if len(missing) > _SHOWN else "")
        problems.append(problem("not_in_files", count=len(missing), tensors=shown))
    for name, held, wanted in mismatched[:_SHOWN]:
        problems.append(problem("shape_not_configured", tensor=name, shape=list(held), wanted=list(wanted)))
    if problems:
        raise DamagedWeights(path=str(folder.path), problems=lines(problems))


@contextmanager
def without_bars() -> Iterator[None]:
    """Transformers draws no progress bars in the block: progress is told by events."""
    bars: Any = transformers_logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def model_class(folder: ModelFolder) -> Any:
    """The transformers class that loads ``folder``: text, vision, or classification."""
    if folder.architecture.endswith("ForSequenceClassification"):
        return AutoModelForSequenceClassification
    if folder.is_vision:
        return AutoModelForImageTextToText
    return AutoModelForCausalLM


def check_base(adapter: ModelFolder, base: ModelFolder) -> None:
    """Nothing happens when ``base`` is the model the adapter recorded in ``base.json`` (or it recorded none).

    Raises:
        BaseMismatch: MODEL-008 with the parts that differ.
    """
    record = read_base_record(adapter.path)
    if record is None or not record.fingerprint:
        return
    parts = differing_parts(record.fingerprint, folder_fingerprint(base))
    if parts:
        told = lines(problem(f"other_{part}", wanted=record.ref) for part in parts)
        places = {"adapter": str(adapter.path), "base": str(base.path)}
        raise BaseMismatch(**places, wanted=record.ref, parts=parts, problems=told)


def tokenizer_folder(found: FoundModel) -> Path:
    """Where the tokenizer and the template are read from: an adapter's own, where it was saved with one."""
    adapter = found.adapter
    if adapter is not None and any((adapter / name).is_file() for name in TOKENIZER_FILES):
        return adapter
    return found.base
