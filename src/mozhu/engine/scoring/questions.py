"""A few questions asked of a model in a notebook: the functions of the guide on LoRA, with its pitfalls removed.

The prompt is rendered by the model's own chat template and is never part of the answer; answers are greedy and so
the same each time, unless a temperature is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from peft import PeftModel

from mozhu.engine.inference.generate import generate_many
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import NoChatTemplate

_MOST_TOKENS = 512


def evaluate_domain_knowledge(
    model: Any,
    tokenizer: Any,
    questions: Sequence[str],
    *,
    max_new_tokens: int = _MOST_TOKENS,
    temperature: float = 0.0,
    seed: int = 42,
) -> list[dict[str, str]]:
    """The model's answer to every question, as ``{"question", "answer"}``."""
    answers = _answers(model, tokenizer, questions, max_new_tokens, temperature, seed)
    return [
        {"question": question, "answer": answer} for question, answer in zip(questions, answers, strict=True)
    ]


def get_model_responses(
    base_model: Any,
    lora_model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = _MOST_TOKENS,
    temperature: float = 0.0,
    seed: int = 42,
) -> list[dict[str, str]]:
    """Both models' answers to every prompt, as ``{"prompt", "base_response", "lora_response"}``.

    ``PeftModel.from_pretrained(base_model, …)`` puts its adapter *into* ``base_model``; asked as it is, the "base"
    would answer with the adapter. Where both are one model the adapter is switched off for the base's answers.
    """
    settings = (max_new_tokens, temperature, seed)
    shared = isinstance(lora_model, PeftModel) and base_model in (lora_model, lora_model.get_base_model())
    with lora_model.disable_adapter() if shared else nullcontext():
        base = _answers(base_model, tokenizer, prompts, *settings)
    tuned = _answers(lora_model, tokenizer, prompts, *settings)
    return [
        {"prompt": prompt, "base_response": before, "lora_response": after}
        for prompt, before, after in zip(prompts, base, tuned, strict=True)
    ]


def _answers(
    model: Any, tokenizer: Any, questions: Sequence[str], limit: int, temperature: float, seed: int
) -> list[str]:
    prompts, stops = _prompts(model, tokenizer, questions)
    answers = generate_many(
        model, tokenizer, prompts, max_new_tokens=limit, stop_ids=stops, temperature=temperature, seed=seed
    )
    return [answer.text for answer in answers]


def _prompts(model: Any, tokenizer: Any, questions: Sequence[str]) -> tuple[list[list[int]], list[int]]:
    """Each question as a conversation; as plain text for a model without chat template."""
    eos = _eos_of(model, tokenizer)
    try:
        renderer = Renderer(tokenizer, eos=eos)
    except NoChatTemplate:
        return [list(tokenizer(question)["input_ids"]) for question in questions], eos
    asked = [[{"role": "user", "content": question}] for question in questions]
    return [renderer.prompt_ids(messages) for messages in asked], renderer.stop_ids


def _eos_of(model: Any, tokenizer: Any) -> list[int]:
    found = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = found if isinstance(found, list) else [found, tokenizer.eos_token_id]
    return list(dict.fromkeys(int(token) for token in ids if token is not None))
