"""Tokens and labels: only answers are learned, cutting is reported, nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers")

from mozhu.engine.data.tokens import Example, token_stats, tokenize_rows
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import NoChatTemplate, NoTrainableTokens
from mozhu.testing.tiny_tokenizers import make_tiny_tokenizer


@pytest.fixture(scope="module", params=["bpe", "sentencepiece"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    return Renderer(make_tiny_tokenizer(request.param))


def row(answer: str = "好的，没问题。", question: str = "请帮我一下", row_id: str = "d#1") -> dict[str, Any]:
    return {
        "row_id": row_id,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
    }


def conversations() -> list[dict[str, Any]]:
    """Two questions each; every second one with a system message."""
    rows = []
    for number in range(6):
        messages = [{"role": "system", "content": "你是助手。"}] if number % 2 else []
        for turn in ("第一", "第二"):
            messages.append({"role": "user", "content": f"{turn}问 {number}？"})
            messages.append({"role": "assistant", "content": f"{turn}答：好的，{number}。\nOK!"})
        rows.append({"row_id": f"d#{number}", "messages": messages})
    return rows


def test_the_labels_decode_to_the_answers_and_nothing_else(renderer: Renderer) -> None:
    rows = conversations()
    result = tokenize_rows(rows, renderer, max_length=4096)
    assert not result.cut and not result.dropped and not result.findings()
    for example, source in zip(result.examples, rows, strict=True):
        assert len(example.ids) == len(example.labels)
        learned = [token for token, label in zip(example.ids, example.labels) if label != -100]
        assert all(label in (-100, token) for token, label in zip(example.ids, example.labels))
        said = renderer.tokenizer.decode(learned, skip_special_tokens=True)
        answers = [m["content"].strip() for m in source["messages"] if m["role"] == "assistant"]
        assert "".join(said.split()) == "".join("".join(answers).split())
        assert example.ids[: len(renderer.prompt_ids(source["messages"][:-1]))] == renderer.prompt_ids(
            source["messages"][:-1]
        )


def test_a_text_row_is_learned_whole_and_ends(renderer: Renderer) -> None:
    tokenizer = renderer.tokenizer
    (example,) = tokenize_rows([{"row_id": "t#1", "text": "天地玄黄"}], renderer, max_length=100).examples
    expected = list(tokenizer("天地玄黄", add_special_tokens=True)["input_ids"])
    if expected[-1] != tokenizer.eos_token_id:
        expected.append(tokenizer.eos_token_id)
    assert example.ids == expected
    assert example.labels == example.ids


def test_text_needs_no_chat_template_and_messages_do(renderer: Renderer) -> None:
    text = {"row_id": "t#1", "text": "天地玄黄"}
    assert tokenize_rows([text], None, max_length=50, tokenizer=renderer.tokenizer).examples
    with pytest.raises(NoChatTemplate):
        tokenize_rows([text, row()], None, max_length=50, tokenizer=renderer.tokenizer)


def test_long_rows_are_cut_at_their_end_and_named(renderer: Renderer) -> None:
    whole = tokenize_rows([row("很长" * 50)], renderer, max_length=10_000).examples[0]
    limit = len(whole.ids) - 20
    result = tokenize_rows([row("很长" * 50), row(row_id="d#2")], renderer, max_length=limit)
    assert result.examples[0].ids == whole.ids[:limit]
    assert result.examples[0].labels == whole.labels[:limit]
    (cut,) = result.cut
    assert (cut.row_id, cut.tokens, cut.kept) == ("d#1", len(whole.ids), limit)
    (finding,) = result.findings()
    assert finding["code"] == "DATA-120" and "d#1" in finding["params"]["rows"]


def test_a_row_without_an_answer_after_cutting_is_dropped_and_named(renderer: Renderer) -> None:
    long = row(question="问" * 300, row_id="d#7")
    result = tokenize_rows([long, row()], renderer, max_length=150)
    assert [example.row_id for example in result.examples] == ["d#1"]
    assert [(dropped.row_id, dropped.code) for dropped in result.dropped] == [("d#7", "DATA-121")]
    with pytest.raises(NoTrainableTokens) as caught:
        tokenize_rows([long], renderer, max_length=150)
    assert caught.value.params == {"rows": 1, "max_length": 150}


def test_rows_with_images_and_refused_rows_are_dropped_by_name() -> None:
    refusing = Renderer(
        make_tiny_tokenizer("bpe"),
        template="{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
    )
    system = row(row_id="d#2")
    system["messages"].insert(0, {"role": "system", "content": "s"})
    image = {**row(row_id="d#3"), "images": ["a.png"]}
    result = tokenize_rows([row(), system, image], refusing, max_length=500)
    assert [(dropped.row_id, dropped.code) for dropped in result.dropped] == [
        ("d#2", "DATA-122"),
        ("d#3", "DATA-123"),
    ]
    assert [finding["code"] for finding in result.findings()] == ["DATA-122", "DATA-123"]


def test_statistics_are_of_the_tokens_kept() -> None:
    examples = [
        Example(list(range(n)), [-100] * (n // 2) + list(range(n - n // 2)), f"d#{n}") for n in range(1, 101)
    ]
    stats = token_stats(examples)
    assert (stats.rows, stats.tokens, stats.mean) == (100, 5050, 50.5)
    assert (stats.p50, stats.p95, stats.max) == (50, 95, 100)
    assert stats.label_share == pytest.approx(2550 / 5050, abs=1e-4)
    assert token_stats([]).rows == 0
