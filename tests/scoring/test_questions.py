"""Asking a model from a notebook: no prompt in the answer, and a base that is the base."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from mozhu.engine.scoring.questions import evaluate_domain_knowledge, get_model_responses
from mozhu.engine.weights.tokenizer import load_tokenizer

QUESTIONS = ["什么是高血压？", "How do I boil an egg?"]
OPTIONS: dict[str, Any] = {"max_new_tokens": 8}


@pytest.fixture
def models(tiny: SimpleNamespace) -> SimpleNamespace:
    """As the guide makes them: the adapter is put into the very base that is then asked."""
    base = AutoModelForCausalLM.from_pretrained(tiny.base, dtype=torch.float32)
    alone = AutoModelForCausalLM.from_pretrained(tiny.base, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, tiny.adapter)
    return SimpleNamespace(base=base, alone=alone, tuned=tuned, tokenizer=load_tokenizer(tiny.base))


def test_answers_repeat_and_do_not_hold_the_question(models: SimpleNamespace) -> None:
    first = evaluate_domain_knowledge(models.tuned, models.tokenizer, QUESTIONS, **OPTIONS)
    assert first == evaluate_domain_knowledge(models.tuned, models.tokenizer, QUESTIONS, **OPTIONS)
    assert [item["question"] for item in first] == QUESTIONS
    assert all(item["question"] not in item["answer"] for item in first)


def test_the_base_answers_without_the_adapter_that_was_put_into_it(models: SimpleNamespace) -> None:
    shared = get_model_responses(models.base, models.tuned, models.tokenizer, QUESTIONS, **OPTIONS)
    apart = get_model_responses(models.alone, models.tuned, models.tokenizer, QUESTIONS, **OPTIONS)
    assert shared == apart
    assert any(item["base_response"] != item["lora_response"] for item in shared)


def test_a_model_beside_itself_answers_alike(models: SimpleNamespace) -> None:
    same = get_model_responses(models.alone, models.alone, models.tokenizer, QUESTIONS, **OPTIONS)
    assert all(item["base_response"] == item["lora_response"] for item in same)
