"""Encoding rows in batches gives, row for row and in their order, what encoding them one by one gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("transformers")

from mozhu.engine.data.encoding import IGNORED, Encoded, RowEncoder, encode_rows
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import NoChatTemplate, RefusedConversation, TemplateRewritesTurns
from mozhu.testing import starter_path, tiny_rows
from mozhu.testing.tiny_tokenizers import TEMPLATES, make_tiny_tokenizer


@pytest.fixture(scope="module")
def starter() -> Renderer:
    return Renderer.from_folder(starter_path())


def one_by_one(
    row: dict[str, Any], renderer: Renderer, last: bool = False
) -> list[tuple[list[int], list[int]]]:
    found = renderer.examples(row["messages"], row.get("tools"), row=row["row_id"], only_last=last)
    return [(item.ids, item.labels(IGNORED)) for item in found]


def lists(encoded: Encoded) -> list[tuple[list[int], list[int]]]:
    return [(list(example.ids), list(example.labels())) for example in encoded.examples]


def chats(count: int, *, system: bool = True, turns: int = 2) -> list[dict[str, Any]]:
    rows = tiny_rows(count, turns=turns)
    for row in [] if system else rows:
        row["messages"] = [message for message in row["messages"] if message["role"] != "system"]
    return rows


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_every_family_is_encoded_as_row_by_row_and_fast(kind: str, template: str) -> None:
    renderer = Renderer(make_tiny_tokenizer(kind, template))
    rows = chats(60, system=template != "gemma")
    for train_on in ("all", "last"):
        found = list(encode_rows(rows, renderer, train_on=train_on, batch=7))
        assert [one.row_id for one in found] == [row["row_id"] for row in rows]
        assert [lists(one) for one in found] == [
            one_by_one(row, renderer, train_on == "last") for row in rows
        ]
    encoder = RowEncoder(renderer, renderer.tokenizer, only_last=False)
    list(encoder.finish(encoder.encode(encoder.lay_out(rows))))
    forms = 1 if template == "gemma" else 2  # without and with a system message
    assert (encoder.wrong, encoder.slow, encoder.fast) == (0, 2 * forms, 60 - 2 * forms)


def test_texts_are_learned_whole_and_end(starter: Renderer) -> None:
    tokenizer = starter.tokenizer
    texts = ["天地玄黄", "", "ends<|im_end|>", f"ends{tokenizer.eos_token}", "  two\nlines "]
    rows = [{"row_id": str(number), "text": text} for number, text in enumerate(texts)]
    for found, text in zip(encode_rows(rows, None, tokenizer), texts, strict=True):
        ids = tokenizer(text, add_special_tokens=True)["input_ids"]
        ids = ids if ids[-1:] == [tokenizer.eos_token_id] else [*ids, tokenizer.eos_token_id]
        assert lists(found) == [(ids, ids)]


def test_texts_get_the_special_tokens_of_their_tokenizer() -> None:
    tokenizer = make_tiny_tokenizer("sentencepiece", "llama2")
    (found,) = encode_rows([{"row_id": "a", "text": "hello"}], None, tokenizer)
    assert found.examples[0].ids[0] == tokenizer.bos_token_id


def test_rows_of_all_kinds_keep_their_order_and_tell_their_errors() -> None:
    renderer = Renderer(make_tiny_tokenizer("bpe", "gemma"))
    good = chats(30, system=False)
    bad = {"row_id": "bad", "messages": [{"role": "system", "content": "s"}, *good[0]["messages"]]}
    picture = {**good[0], "row_id": "picture", "images": ["a.png"]}
    rows = [
        *good[:10],
        bad,
        picture,
        {"row_id": "text", "text": "abc"},
        *good[10:],
        {**bad, "row_id": "again"},
    ]
    found = list(encode_rows(rows, renderer, batch=4))
    assert [one.row_id for one in found] == [row["row_id"] for row in rows]
    told = {one.row_id: one.error for one in found if one.error is not None}
    assert set(told) == {"bad", "again"} and all(
        isinstance(error, RefusedConversation) for error in told.values()
    )
    assert "bad" in str(told["bad"]) and "again" in str(told["again"])
    assert [one.row_id for one in found if not one.examples] == ["bad", "picture", "again"]


def test_a_template_that_rewrites_gives_an_example_for_every_answer() -> None:
    renderer = Renderer(make_tiny_tokenizer("bpe", "qwen3"))
    rows = chats(20, turns=3)
    for row in rows:
        for message in row["messages"]:
            if message["role"] == "assistant":
                message["reasoning_content"] = f"thought of {message['content']}"
    found = list(encode_rows(rows, renderer))
    assert {len(one.examples) for one in found} == {3}
    assert [lists(one) for one in found] == [one_by_one(row, renderer) for row in rows]


def test_an_answer_that_cannot_be_told_apart_is_told_as_an_error() -> None:
    silent = "{%- for m in messages %}{%- if m.role == 'user' %}{{- m.content }}{%- endif %}{%- endfor %}"
    renderer = Renderer(make_tiny_tokenizer(), template=silent)
    found = list(encode_rows(chats(6, system=False), renderer))
    assert all(isinstance(one.error, TemplateRewritesTurns) and not one.examples for one in found)


def test_without_a_template_there_are_texts_only(starter: Renderer) -> None:
    with pytest.raises(NoChatTemplate):
        list(encode_rows(chats(1), None, starter.tokenizer))


def test_the_same_with_and_without_a_thread_and_in_batches_of_any_size(starter: Renderer) -> None:
    rows = chats(50, turns=3)
    wanted = [lists(one) for one in encode_rows(rows, starter, workers=0)]
    for batch in (1, 3, 50, 1000):
        assert [lists(one) for one in encode_rows(rows, starter, batch=batch)] == wanted
    assert list(encode_rows([], starter)) == []


def test_rows_are_read_as_they_are_needed_and_no_thread_is_left(starter: Renderer) -> None:
    read = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal read
        for row in chats(400, turns=1):
            read += 1
            yield row

    found = encode_rows(source(), starter, batch=10)
    assert [next(found).row_id for _ in range(15)][-1] == "tiny:v1#15"
    assert read <= 40
    found.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mozhu-encode")]


def test_an_interrupt_in_the_source_ends_it_at_once(starter: Renderer) -> None:
    def source() -> Iterator[dict[str, Any]]:
        yield from chats(30, turns=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(encode_rows(source(), starter, batch=8))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mozhu-encode")]


def test_a_plan_that_is_wrong_is_seen_and_never_used(
    starter: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a use of a text ever missed, the first rows of a plan would show it and the template would decide."""
    template = (
        "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + m.name + '<|im_end|>\\n' }}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    )
    renderer = Renderer(starter.tokenizer, template=template)
    rows = [
        {
            "row_id": str(n),
            "messages": [{"role": r, "content": "c", "name": f"{n}"} for r in ("user", "assistant")],
        }
        for n in range(9)
    ]
    monkeypatch.setattr(
        "mozhu.engine.weights.template_plan.form_of", lambda messages, tools: ((len(messages),), ["c", "c"])
    )
    encoder = RowEncoder(renderer, renderer.tokenizer, only_last=False)
    found = list(encoder.finish(encoder.encode(encoder.lay_out(rows))))
    assert [lists(one) for one in found[2:]] == [one_by_one(row, renderer) for row in rows[2:]]
    assert encoder.wrong == 1
