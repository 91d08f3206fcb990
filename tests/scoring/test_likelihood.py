"""Perplexity equals the plain loop; answers in batches equal answers one by one."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from mozhu.engine.inference.generate import generate_many
from mozhu.engine.scoring.agreement import compare_logits
from mozhu.engine.scoring.examples import row_ask, row_examples
from mozhu.engine.scoring.perplexity import Example, Likelihood, calculate_perplexity, score_rows
from mozhu.engine.weights.template import Renderer
from mozhu.testing import tiny_rows


@pytest.fixture(scope="module")
def model(tiny: SimpleNamespace) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny.base, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def renderer(tiny: SimpleNamespace) -> Renderer:
    return Renderer.from_folder(tiny.base)


@torch.no_grad()
def plain_nll(model: Any, ids: list[int], scored: list[bool]) -> tuple[float, int]:
    """The reference: one forward pass, one token at a time."""
    total, count = 0.0, 0
    logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    for place in range(1, len(ids)):
        if scored[place]:
            total -= float(torch.log_softmax(logits[place - 1], -1)[ids[place]])
            count += 1
    return total, count


def test_row_scores_equal_the_plain_loop(model: Any, renderer: Renderer) -> None:
    examples = [e for row in tiny_rows(8, turns=2) for e in row_examples(row, renderer.tokenizer, renderer)]
    for size in (1, 3, 8):
        for example, score in zip(examples, score_rows(model, examples, batch_size=size), strict=True):
            nll, tokens = plain_nll(model, list(example.ids), list(example.scored))
            assert score.tokens == tokens
            assert score.nll == pytest.approx(nll, rel=1e-5)


def test_only_the_answer_counts(model: Any, renderer: Renderer) -> None:
    (example,) = row_examples(tiny_rows(1)[0], renderer.tokenizer, renderer)
    answer = tiny_rows(1)[0]["messages"][-1]["content"]
    assert example.text_bytes == len(answer.encode())
    own = [number for number, scored in zip(example.ids, example.scored, strict=True) if scored]
    assert renderer.tokenizer.decode(own) == answer + "<|im_end|>"


def test_perplexity_weighs_tokens_and_not_texts(model: Any, renderer: Renderer) -> None:
    texts = ["你好。", "The quick brown fox jumps over the lazy dog, again and again.", "a"]
    total, count = 0.0, 0
    for text in texts:
        ids = renderer.tokenizer(text)["input_ids"]
        nll, tokens = plain_nll(model, ids, [True] * len(ids))
        total, count = total + nll, count + tokens
    assert calculate_perplexity(model, renderer.tokenizer, texts) == pytest.approx(
        math.exp(total / count), rel=1e-5
    )


def test_bits_per_byte_follow_from_the_same_nats(model: Any) -> None:
    scores = Likelihood(tuple(score_rows(model, [Example((1, 2, 3), (True,) * 3, 3)])))
    assert scores.bits_per_byte == pytest.approx(math.log2(scores.perplexity) * 2 / 3)


def test_long_texts_are_read_in_windows_that_count_every_token_once(model: Any) -> None:
    random.seed(0)
    ids = tuple(random.randrange(256) for _ in range(101))
    example = Example(ids, (True,) * 101)
    (score,) = score_rows(model, [example], limit=16)
    assert score.tokens == 100
    (whole,) = score_rows(model, [example], limit=101)
    assert whole.tokens == 100
    assert score.nll != whole.nll


def test_nothing_scored_is_no_number(model: Any) -> None:
    assert score_rows(model, []) == []
    (score,) = score_rows(model, [Example((5,), (True,))])
    assert score.tokens == 0
    assert math.isnan(score.perplexity)


def test_greedy_batches_equal_one_by_one_and_leave_the_prompt_out(model: Any, renderer: Renderer) -> None:
    asks = [row_ask(number, row, renderer) for number, row in enumerate(tiny_rows(12))]
    prompts = [ask.prompt_ids for ask in asks if ask]
    seen: list[tuple[int, int]] = []
    options: Any = {"max_new_tokens": 20, "stop_ids": renderer.stop_ids}
    batched = generate_many(
        model, renderer.tokenizer, prompts, **options, batch_size=5, progress=lambda *n: seen.append(n)
    )
    assert [answer.ids for answer in batched] == [
        generate_many(model, renderer.tokenizer, [prompt], **options)[0].ids for prompt in prompts
    ]
    for prompt, answer in zip(prompts, batched, strict=True):
        assert list(answer.ids) == plain_greedy(model, list(prompt), 20, renderer.stop_ids)
    assert seen[-1] == (12, 12)


@torch.no_grad()
def plain_greedy(model: Any, ids: list[int], limit: int, stops: list[int]) -> list[int]:
    made: list[int] = []
    for _ in range(limit):
        token = int(model(input_ids=torch.tensor([ids + made])).logits[0, -1].argmax())
        if token in stops:
            break
        made.append(token)
    return made


def test_an_answer_says_whether_it_ended_by_itself(model: Any, renderer: Renderer) -> None:
    ids = renderer.prompt_ids([{"role": "user", "content": "Hello?"}])
    (cut,) = generate_many(model, renderer.tokenizer, [ids], max_new_tokens=6, stop_ids=[])
    assert not cut.stopped
    assert len(cut.ids) == 6
    (ended,) = generate_many(model, renderer.tokenizer, [ids], max_new_tokens=6, stop_ids=[cut.ids[3]])
    assert ended.stopped
    assert ended.ids == cut.ids[: cut.ids.index(cut.ids[3])]


def test_the_models_own_generation_settings_do_not_shape_answers(model: Any, renderer: Renderer) -> None:
    ids = renderer.prompt_ids([{"role": "user", "content": "Hello?"}])
    options: Any = {"max_new_tokens": 12, "stop_ids": []}
    before = generate_many(model, renderer.tokenizer, [ids], **options)
    own = model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size = 5.0, 1
    try:
        assert generate_many(model, renderer.tokenizer, [ids], **options) == before
        assert model.generation_config is own
    finally:
        own.repetition_penalty, own.no_repeat_ngram_size = None, None


def test_sampling_repeats_with_its_seed_and_leaves_the_callers_randomness_alone(
    model: Any, renderer: Renderer
) -> None:
    ids = renderer.prompt_ids([{"role": "user", "content": "Hello?"}])
    options: Any = {"max_new_tokens": 16, "stop_ids": [], "temperature": 1.5}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = generate_many(model, renderer.tokenizer, [ids] * 3, **options, seed=1)
    assert torch.rand(1) == expected
    assert generate_many(model, renderer.tokenizer, [ids] * 3, **options, seed=1) == first
    assert generate_many(model, renderer.tokenizer, [ids] * 3, **options, seed=2) != first
    assert len({answer.ids for answer in first}) > 1


def test_a_model_agrees_with_itself_and_not_with_another(model: Any, tiny: SimpleNamespace) -> None:
    other = AutoModelForCausalLM.from_pretrained(tiny.merged, dtype=torch.float32).eval()
    rows = [[1, 2, 3, 4], [9] * 12]
    same, different = compare_logits(model, model, rows), compare_logits(model, other, rows)
    assert (same.max_abs, same.kl_mean, same.top1, same.positions) == (0.0, 0.0, 1.0, 16)
    assert different.max_abs > 0.01
    assert different.kl_mean > 0
