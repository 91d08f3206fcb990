"""Rows that are too long: every policy keeps within the limit, says what it lost, and teaches only what is true."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

pytest.importorskip("transformers")

from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.cutting import Cutter, Part, exchanges, learned, windows
from mozhu.engine.data.encoding import EncodedExample
from mozhu.engine.data.tokens import Example, TokenizedRows, fit_rows, tokenize_rows
from mozhu.engine.weights.template import Renderer
from mozhu.testing.tiny_tokenizers import make_tiny_tokenizer

POLICIES = ("reject", "right", "left", "middle", "split")
TEXT = "春夏秋冬天地玄黄abc def. "


@pytest.fixture(scope="module", params=["bpe", "sentencepiece"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    return Renderer(make_tiny_tokenizer(request.param))


@pytest.fixture(scope="module")
def chat() -> Renderer:
    return Renderer(make_tiny_tokenizer("bpe"))


def conversation(*turns: tuple[str, str], system: str | None = "你是助手。") -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    for question, answer in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"row_id": "d#1", "messages": messages, "source": {"file": "d.json", "line": 3}}


def tokens(row: dict[str, Any], renderer: Renderer, limit: int, **options: Any) -> TokenizedRows:
    return tokenize_rows([row, {"row_id": "short", "text": "一"}], renderer, max_length=limit, **options)


def kept(result: TokenizedRows) -> list[Example]:
    return [example for example in result.examples if example.row_id != "short"]


def taught(examples: list[Example]) -> list[int]:
    """The tokens that are predicted, in their order."""
    return [label for example in examples for label in example.labels[1:] if label != -100]


def length(row: dict[str, Any], renderer: Renderer) -> int:
    return len(kept(tokens(row, renderer, 100_000))[0].ids)


turn = st.tuples(st.integers(1, 60), st.integers(1, 60))
shapes = st.lists(turn, min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(sizes=shapes, limit=st.integers(30, 200), policy=st.sampled_from(POLICIES), last=st.booleans())
def test_no_policy_leaves_an_example_longer_than_the_limit_or_hides_what_it_lost(
    chat: Renderer, sizes: list[tuple[int, int]], limit: int, policy: Any, last: bool
) -> None:
    row = conversation(*[((TEXT * 9)[:question], (TEXT * 9)[:answer]) for question, answer in sizes])
    train_on: Any = "last" if last else "all"
    (whole,) = fit_rows([row], chat, max_length=100_000, train_on=train_on)
    (found,) = fit_rows([row], chat, max_length=limit, train_on=train_on, over_length=policy)
    assert all(1 < len(example.ids) <= limit for example in found.examples)
    assert all(learned(example) for example in found.examples)
    full = len(whole.examples[0].ids)
    if full <= limit:
        assert found.cut is None and found.examples == whole.examples
        return
    assert found.cut is not None and found.cut.tokens == full
    assert found.cut.labels == learned(whole.examples[0])
    assert found.cut.labels_lost == found.cut.labels - sum(learned(example) for example in found.examples)
    assert found.cut.parts == tuple(len(example.ids) for example in found.examples)
    assert bool(found.dropped) == (not found.examples)
    if policy == "split" and found.examples:
        assert found.cut.labels_lost == 0


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(2, 300),
    limit=st.integers(2, 60),
    context=st.integers(1, 20),
    edges=st.lists(st.integers(0, 299), max_size=6),
)
def test_windows_teach_every_token_exactly_once_after_what_stood_before_it(
    count: int, limit: int, context: int, edges: list[int]
) -> None:
    places = sorted({min(edge, count) for edge in edges})
    spans = tuple(zip(places[::2], places[1::2], strict=False))
    whole = EncodedExample(array("i", range(count)), spans)
    found = windows(Part(whole), limit, context=context)
    seen = []
    for part in found:
        assert len(part.example.ids) <= limit
        assert list(part.example.ids) == list(range(part.example.ids[0], part.example.ids[-1] + 1))
        for start, end in part.example.spans:
            seen += [part.example.ids[place] for place in range(max(1, start), end)]
    wanted = [number for start, end in spans for number in range(max(1, start), end)]
    assert seen == wanted


def test_cutting_right_is_what_it_always_was(renderer: Renderer) -> None:
    row = conversation((TEXT * 4, TEXT * 6), (TEXT, TEXT * 3))
    whole = kept(tokens(row, renderer, 100_000))[0]
    for limit in (whole_length := len(whole.ids)) - 1, whole_length // 2 + 20:
        (example,) = kept(tokens(row, renderer, limit, over_length="right"))
        assert (example.ids, example.labels) == (whole.ids[:limit], whole.labels[:limit])


def test_split_teaches_every_answer_once_each_part_as_it_is_asked(renderer: Renderer) -> None:
    row = conversation(*[(f"{number}？{TEXT}", f"{number}：{TEXT * 3}") for number in range(6)])
    whole = kept(tokens(row, renderer, 100_000))
    limit = len(whole[0].ids) // 2 + 10
    result = tokens(row, renderer, limit, over_length="split")
    assert len(kept(result)) >= 2
    assert taught(kept(result)) == taught(whole)
    system = row["messages"][:1]
    asked = {tuple(renderer.prompt_ids([*system, row["messages"][place]])) for place in range(1, 13, 2)}
    for example in kept(result):
        assert any(tuple(example.ids[: len(prompt)]) == prompt for prompt in asked)
    (finding,) = result.findings()
    assert finding["code"] == "DATA-127" and finding["params"]["parts"] == len(kept(result))


def test_an_answer_that_is_too_long_alone_becomes_windows(renderer: Renderer) -> None:
    row = conversation(("问？", TEXT * 20))
    whole = kept(tokens(row, renderer, 100_000))
    result = kept(tokens(row, renderer, 80, over_length="split"))
    assert len(result) > 3 and taught(result) == taught(whole)
    prompt = renderer.prompt_ids(row["messages"][:2])
    assert result[0].ids[: len(prompt)] == prompt, "the first window stands after its whole prompt"


def test_left_drops_the_oldest_turns_and_leaves_a_real_conversation(renderer: Renderer) -> None:
    turns = [(f"{number}？{TEXT}", f"{number}：{TEXT}") for number in range(5)]
    row = conversation(*turns)
    limit = length(conversation(*turns[-2:]), renderer) + 3
    result = tokens(row, renderer, limit, over_length="left")
    (example,) = kept(result)
    (wanted,) = kept(tokens(conversation(*turns[-2:]), renderer, 100_000))
    assert (example.ids, example.labels) == (wanted.ids, wanted.labels)
    (cut,) = result.cut
    assert cut.turns_left_out == 6 and not cut.inside and cut.labels_lost > 0


def test_middle_keeps_the_first_and_the_last_turns(renderer: Renderer) -> None:
    turns = [(f"{number}？{TEXT}", f"{number}：{TEXT}") for number in range(6)]
    ends = [turns[0], *turns[-2:]]
    result = tokens(
        conversation(*turns), renderer, length(conversation(*ends), renderer) + 3, over_length="middle"
    )
    (wanted,) = kept(tokens(conversation(*ends), renderer, 100_000))
    assert [(example.ids, example.labels) for example in kept(result)] == [(wanted.ids, wanted.labels)]


@pytest.mark.parametrize("policy", ["left", "middle", "split"])
def test_a_question_that_is_too_long_is_shortened_and_its_answer_kept_whole(
    renderer: Renderer, policy: Any
) -> None:
    row = conversation(("开头" + TEXT * 30 + "末尾", "好的，没问题。"))
    whole = kept(tokens(row, renderer, 100_000))
    result = tokens(row, renderer, 100, over_length=policy)
    (example,) = kept(result)
    assert taught([example]) == taught(whole), "the whole answer is learned"
    assert 90 <= len(example.ids) <= 100, "no more is cut than has to be"
    said = renderer.tokenizer.decode(example.ids)
    assert "你是助手" in said and "末尾" in said and ("开头" in said) == (policy != "left")
    (cut,) = result.cut
    assert cut.inside and cut.labels_lost == 0


@pytest.mark.parametrize("policy", ["left", "middle"])
def test_what_follows_a_gap_in_an_answer_is_not_learned(renderer: Renderer, policy: Any) -> None:
    row = conversation(("问？", TEXT * 20))
    (whole,) = kept(tokens(row, renderer, 100_000))
    (example,) = kept(tokens(row, renderer, 90, over_length=policy))
    prompt = renderer.prompt_ids(row["messages"][:2])
    assert example.ids[: len(prompt)] == prompt, "the prompt stays whole"
    after = len(example.ids)
    while example.ids[after - 1 :] == whole.ids[len(whole.ids) - (len(example.ids) - after) - 1 :]:
        after -= 1
    gap = [place for place in range(len(prompt), len(example.ids)) if example.labels[place] == -100]
    assert gap and gap[0] >= after, "the first token of the tail has no label"
    tail = example.ids[gap[0] :]
    assert whole.ids[-len(tail) :] == tail
    assert (gap[0] == len(prompt)) == (policy == "left")


def test_rejected_rows_are_named_with_their_length(renderer: Renderer) -> None:
    row = conversation(("问？", TEXT * 20))
    result = tokens(row, renderer, 90, over_length="reject")
    assert not kept(result) and not result.cut
    (dropped,) = result.dropped
    assert (dropped.code, dropped.params["tokens"]) == ("DATA-125", length(row, renderer))


def test_texts_are_cut_by_tokens_and_keep_what_begins_a_text() -> None:
    renderer = Renderer(make_tiny_tokenizer("sentencepiece"))
    row = {"row_id": "t", "text": TEXT * 20}
    (whole,) = fit_rows([row], renderer, max_length=100_000)
    ids, bos = whole.examples[0].ids.tolist(), renderer.tokenizer.bos_token_id
    cut = {
        policy: [
            (example.ids.tolist(), example.labels().tolist())
            for example in next(iter(fit_rows([row], renderer, max_length=60, over_length=policy))).examples
        ]
        for policy in ("left", "middle", "split")
    }
    (left,) = cut["left"]
    begins = int(ids[0] == bos)
    assert left[0] == ids[:begins] + ids[-(60 - begins) :]
    assert not begins or left[1][1] == -100
    (middle,) = cut["middle"]
    assert middle[0] == ids[:30] + ids[-30:] and middle[1][30] == -100 and middle[1][31] != -100
    parts = [Example(*item, "t") for item in cut["split"]]
    assert taught(parts) == ids[1:]


def test_a_row_whose_answers_are_taught_one_by_one_is_split_one_by_one() -> None:
    """A template that drops earlier answers' thoughts gives an example an answer; each is cut on its own."""
    template = (
        "{% for m in messages %}{{ m['role'] }}: "
        "{% if m['role'] == 'assistant' and not loop.last %}(short){% else %}{{ m['content'] }}{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    renderer = Renderer(make_tiny_tokenizer("bpe"), template=template)
    row = conversation(("一", TEXT * 2), ("二", TEXT * 12), ("三", TEXT * 2))
    (whole,) = fit_rows([row], renderer, max_length=100_000)
    assert len(whole.examples) == 3
    (found,) = fit_rows([row], renderer, max_length=90, over_length="split")
    assert found.cut is not None and found.cut.labels_lost == 0 and len(found.examples) > 3
    assert all(len(example.ids) <= 90 for example in found.examples)


def test_exchanges_begin_where_a_user_speaks_after_somebody_else() -> None:
    roles = ["assistant", "user", "user", "assistant", "tool", "assistant", "user", "assistant"]
    found = exchanges([{"role": role} for role in roles])
    assert [[message["role"] for message in exchange] for exchange in found] == [
        ["assistant"],
        ["user", "user", "assistant", "tool", "assistant"],
        ["user", "assistant"],
    ]


def test_a_prompt_that_cannot_be_made_short_enough_drops_the_row(chat: Renderer) -> None:
    row = conversation(("问？" * 40, "好。"))
    for policy in ("left", "middle", "split"):
        (found,) = fit_rows([row], chat, max_length=5, over_length=policy)  # type: ignore[arg-type]
        assert all(len(example.ids) <= 5 for example in found.examples)
        assert found.examples or (found.dropped and found.dropped.code == "DATA-121")
    assert Cutter("right", 5, chat).fit(Part(EncodedExample(array("i", range(9)), ((0, 9),))), row).inside
