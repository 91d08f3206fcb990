"""Answers to many prompts at once: sorted by length, padded on the left, greedy equal to one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

_GenerationConfig: Any = GenerationConfig  # its constructor has no types
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Answer:
    """What the model wrote: the prompt and the stop token are not part of it.

    ``stopped`` is true when the model ended by itself, false when it was cut at the limit.
    """

    ids: tuple[int, ...]
    text: str
    stopped: bool


def generate_many(
    model: Any,
    tokenizer: Any,
    prompts_ids: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Sequence[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 42,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> list[Answer]:
    """One answer a prompt, in the prompts' order.

    Only what is asked for here shapes the answer: settings that a model brings along in its
    ``generation_config`` (repetition penalty, top-k …) are set aside, so base and tuned are asked alike.
    Batches go from long to short prompts, so memory runs out at the start or never; then the batch is halved.
    In float32 a greedy batch gives the tokens of one by one; in half precision rounding may tip near ties.

    Args:
        temperature: 0 is greedy; above 0 samples, repeatably for the same ``seed`` and ``batch_size``.
        stop_ids: Any of these ends an answer.
        progress: Called with (answers made, prompts) after each batch.
    """
    order = sorted(range(len(prompts_ids)), key=lambda i: -len(prompts_ids[i]))
    config = _config(max_new_tokens, list(stop_ids), _pad_id(tokenizer, stop_ids), temperature, top_p)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    asked = model if _has_prefix(model) else inner
    answers: dict[int, Answer] = {}
    with _plain_generation(inner), torch.random.fork_rng(devices=_cuda_devices(inner)):
        torch.manual_seed(seed)
        while order:
            batch = order[:batch_size]
            try:
                written = _generate(asked, [prompts_ids[i] for i in batch], config)
            except torch.OutOfMemoryError:
                if batch_size == 1:
                    raise
                batch_size = max(1, len(batch) // 2)
                torch.cuda.empty_cache()
                continue
            for index, ids in zip(batch, written, strict=True):
                answers[index] = _answer(tokenizer, ids, set(stop_ids))
            order = order[len(batch) :]
            if progress:
                progress(len(answers), len(prompts_ids))
    return [answers[index] for index in range(len(prompts_ids))]


@torch.inference_mode()
def _generate(model: Any, prompts: list[Sequence[int]], config: GenerationConfig) -> list[list[int]]:
    width = max(len(prompt) for prompt in prompts)
    device = next(model.parameters()).device
    ids = torch.full((len(prompts), width), int(config.pad_token_id), dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for index, prompt in enumerate(prompts):
        ids[index, width - len(prompt) :] = torch.tensor(list(prompt), dtype=torch.long)
        mask[index, width - len(prompt) :] = 1
    made = model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
    answers: list[list[int]] = made[:, width:].tolist()
    return answers


def _has_prefix(model: Any) -> bool:
    """Whether the adapter is a prefix before the tokens, which only PEFT's own ``generate`` puts there."""
    config = getattr(model, "active_peft_config", None)
    return bool(getattr(config, "is_prompt_learning", False)) and not model._adapters_disabled


def _answer(tokenizer: Any, ids: list[int], stops: set[int]) -> Answer:
    """What stands before the first stop token; without one the answer was cut."""
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    kept = tuple(ids[:end])
    return Answer(kept, tokenizer.decode(list(kept), skip_special_tokens=True), end is not None)


def _config(limit: int, stops: list[int], pad: int, temperature: float, top_p: float) -> Any:
    sampling = {"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature > 0 else {}
    return _GenerationConfig(
        max_new_tokens=limit,
        do_sample=temperature > 0,
        num_beams=1,
        eos_token_id=stops or None,
        pad_token_id=pad,
        use_cache=True,
        **sampling,
    )


@contextmanager
def _plain_generation(model: Any) -> Iterator[None]:
    """Set the model's own generation settings aside: what a request leaves open would be filled from them."""
    own, training = model.generation_config, model.training
    model.generation_config = _GenerationConfig()
    model.eval()
    try:
        yield
    finally:
        model.generation_config = own
        model.train(training)


def _pad_id(tokenizer: Any, stop_ids: Sequence[int]) -> int:
    """Any id does: padding is masked. It must exist, so the stop token stands in where there is none."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id)
    return int(stop_ids[0]) if stop_ids else 0


def _cuda_devices(model: Any) -> list[int]:
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    return sorted({device.index or 0 for device in devices})
