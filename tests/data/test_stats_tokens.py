"""Token statistics are those of the training that follows: same lengths, same cut, same share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from mozhu.engine.data.dataset import Reading, load_rows
from mozhu.engine.data.parts import part_streams
from mozhu.engine.data.statistics.collect import collect_statistics
from mozhu.engine.data.statistics.measured import Voice
from mozhu.engine.data.statistics.record import Statistics, Tokens
from mozhu.engine.data.tokens import tokenize_rows
from mozhu.engine.weights.template import Renderer
from mozhu.testing import starter_path, tiny_rows


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer.from_folder(starter_path())


def measured(
    path: Path, renderer: Renderer, limit: int, train_on: Any = "all", policy: Any = "right"
) -> Statistics:
    voice = Voice(renderer.tokenizer, renderer, limit, train_on, policy)
    return collect_statistics(part_streams(str(path), Reading(stage=None)), voice=voice)


def tokens_of(found: Statistics) -> Tokens:
    assert found.whole.tokens is not None
    return found.whole.tokens


def conversations(write: Callable[..., Path], turns: int = 2) -> Path:
    rows = [{"messages": row["messages"]} for row in tiny_rows(24, turns=turns)]
    return write("chat.json", rows)


@pytest.mark.parametrize("train_on", ["all", "last"])
@pytest.mark.parametrize("limit", [80, 100, 2048])
@pytest.mark.parametrize("policy", ["right", "left", "middle", "split", "reject"])
def test_what_is_told_is_what_training_gets(
    policy: Any, limit: int, train_on: Any, renderer: Renderer, write: Callable[..., Path]
) -> None:
    path = conversations(write)
    rows = load_rows(str(path)).rows
    trained = tokenize_rows(rows, renderer, max_length=limit, train_on=train_on, over_length=policy)
    told = tokens_of(measured(path, renderer, limit, train_on, policy))
    lengths = [len(example.ids) for example in trained.examples]
    labels = sum(label != -100 for example in trained.examples for label in example.labels)
    assert (told.kept_tokens, told.kept_trained) == (sum(lengths), labels)
    assert told.trained_share == trained.stats.label_share
    assert told.dropped == sum(row.code in {"DATA-121", "DATA-125"} for row in trained.dropped)
    assert told.packing is not None and told.packing.examples == len(trained.examples)
    over = {row.row_id for row in trained.cut} | {row.row_id for row in trained.dropped}
    assert told.rows_over == len(over)


def test_a_cut_off_keeps_what_it_says(renderer: Renderer, write: Callable[..., Path]) -> None:
    path = conversations(write)
    rows = load_rows(str(path)).rows
    whole = tokenize_rows(rows, renderer, max_length=100_000).examples
    told = tokens_of(measured(path, renderer, 50))
    assert told.lengths.summary is not None
    assert told.lengths.summary.max == max(len(one.ids) for one in whole)
    assert told.trained_total == sum(label != -100 for one in whole for label in one.labels)
    assert told.lost == sum(len(one.ids[50:]) for one in whole)
    assert told.trained_lost == sum(label != -100 for one in whole for label in one.labels[50:])
    assert 50 in [fit.limit for fit in told.fits]
    total = sum(len(one.ids) for one in whole)
    for fit in told.fits:
        assert fit.examples == sum(len(one.ids) <= fit.limit for one in whole)
        assert fit.tokens == round(sum(len(one.ids[: fit.limit]) for one in whole) / total, 4)
        kept = sum(label != -100 for one in whole for label in one.labels[: fit.limit])
        assert fit.trained == round(kept / told.trained_total, 4)
    assert told.fits[-1].share == 1.0


def test_text_rows_are_learned_whole(renderer: Renderer, write: Callable[..., Path]) -> None:
    path = write("text.jsonl", "\n".join(json.dumps({"text": f"天地玄黄 {n}"}) for n in range(5)))
    told = tokens_of(measured(path, renderer, 512))
    assert told.rows == told.examples == 5 and told.trained_share == 1.0


def test_both_answers_of_a_preference_are_measured(renderer: Renderer, write: Callable[..., Path]) -> None:
    path = write("pairs.json", [{"prompt": "问？", "chosen": "很长很长的好回答。", "rejected": "坏"}] * 2)
    found = measured(path, renderer, 512)
    told, pairs = tokens_of(found), found.whole.pairs
    assert (told.rows, told.examples) == (2, 4)
    asked = {"role": "user", "content": "问？"}
    for side, answer in (("chosen", "很长很长的好回答。"), ("rejected", "坏")):
        row = {"row_id": "x", "messages": [asked, {"role": "assistant", "content": answer}]}
        (example,) = tokenize_rows([row], renderer, max_length=512).examples
        summary = getattr(pairs, f"{side}_tokens")
        assert summary.max == sum(label != -100 for label in example.labels)


def test_classified_texts_are_measured_without_anything_learned(
    renderer: Renderer, write: Callable[..., Path]
) -> None:
    told = tokens_of(measured(write("c.json", [{"text": "新闻", "label": "体育"}] * 3), renderer, 512))
    assert told.rows == 3 and told.trained_share is None and told.dropped == 0 and told.padding


def test_rows_that_the_model_cannot_write_are_counted_with_their_reason(
    renderer: Renderer, write: Callable[..., Path], tmp_path: Path
) -> None:
    refusing = Renderer(
        renderer.tokenizer,
        template="{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    )
    path = conversations(write)
    told = tokens_of(measured(path, refusing, 512))
    (reason,) = told.not_measured
    assert (reason.code, reason.count, told.rows) == ("DATA-122", 6, 18) and "no system" in reason.reason
    bare = Voice(renderer.tokenizer, None, 512)
    found = collect_statistics(part_streams(str(path), Reading(stage=None)), voice=bare)
    told = tokens_of(found)
    assert [(one.code, one.count) for one in told.not_measured] == [("MODEL-003", 24)]
    assert told.examples == 0 and told.lengths.summary is None and found.whole.rows == 24
    assert found.whole.turns.counts == {"2": 24}


def test_rows_with_images_are_counted_apart(renderer: Renderer, write: Callable[..., Path]) -> None:
    write("a.jpg", b"\xff\xd8\xff\xe0")
    turns = [{"role": "user", "content": "<image>这是什么？"}, {"role": "assistant", "content": "猫。"}]
    plain = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好。"}]
    path = write("rows.json", [{"messages": turns, "images": ["a.jpg"]}, {"messages": plain}])
    found = measured(path, renderer, 512)
    assert [(one.code, one.count) for one in tokens_of(found).not_measured] == [("DATA-123", 1)]
    assert tokens_of(found).rows == 1 and (found.whole.extras.images, found.whole.extras.images_total) == (
        1,
        1,
    )


def test_parts_are_measured_apart_and_together(renderer: Renderer, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for part, count in (("train", 8), ("test", 4)):
        rows = [{"messages": row["messages"]} for row in tiny_rows(count)]
        (folder / f"{part}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    found = measured(folder, renderer, 40)
    apart = [part.tokens for part in found.parts.values() if part.tokens]
    whole = tokens_of(found)
    for name in (
        "rows",
        "examples",
        "over",
        "rows_over",
        "lost",
        "trained_lost",
        "kept_tokens",
        "kept_trained",
    ):
        assert getattr(whole, name) == sum(getattr(part, name) for part in apart)
