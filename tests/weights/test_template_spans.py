"""Plans and proven spans give what rendering again and again gives: the same text, ids and answers, or nothing."""

from __future__ import annotations

import copy
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("hypothesis")

sys.path.insert(0, str(Path(__file__).parent / "template_cases"))

from deciding import FOLLOWED, LEFT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers, pre_tokenizers

from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.template_plan import Planner
from mozhu.engine.weights.template_spans import SpanFinder
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import RefusedConversation, TemplateRewritesTurns
from mozhu.testing import starter_path
from mozhu.testing.tiny_tokenizers import TEMPLATES, make_tiny_tokenizer

KINDS = [(kind, name) for name in TEMPLATES for kind in ("bpe", "sentencepiece")]
AWKWARD = (
    *(
        " ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "a",
        "A",
        "x",
        "?",
        "!",
        "yes",
        "no",
        "hello world",
        "你好",
        "。",
        "🙂",
        "👩‍🔬",
    ),
    *("e\u0301", "\u0301", "\u200b", "　", "1234", "<", "</", "<|", "|>", "<|im", "_end|>", "<|im_end|>"),
    *(
        "<|im_start|>",
        "</s>",
        "<s>",
        "<unk>",
        "[INST]",
        "[/INST]",
        "[",
        "<think>",
        "</think>",
        "<think>\nhm\n</think>",
    ),
    *("<end_of_turn>", "<|eot_id|>", "/no_think", "{{ x }}", "{%", "assistant", "\u2581", "\\", '"', "'"),
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(AWKWARD), max_size=5).map("".join),
    st.text(max_size=12),
    st.sampled_from(["", "ordinary answer.", "什么是高血压？", " leading", "trailing \n"]),
)
PROFILE = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "天气 <b>",
        "parameters": {"type": "object", "properties": {}},
    },
}


@st.composite
def conversations(draw: st.DrawFn, thinking: bool = True) -> tuple[list[list[dict[str, Any]]], Any]:
    """Five conversations of one form, with tools or without."""
    turns = draw(st.integers(1, 6))
    tools = [TOOL] if draw(st.booleans()) else None
    shape = ["system"] if draw(st.booleans()) else []
    shape += ["assistant"] if draw(st.integers(0, 5)) == 0 else []
    for _ in range(turns):
        shape += ["user", "assistant"]
        if tools and draw(st.booleans()):
            shape += ["tool", "assistant"]
    shape += ["user"] if draw(st.integers(0, 5)) == 0 else []
    thoughts = draw(st.booleans()) if thinking else False
    empty_call = draw(st.sampled_from([None, ""]))

    def message(at: int, role: str) -> dict[str, Any]:
        if role == "assistant" and shape[at + 1 : at + 2] == ["tool"]:
            arguments: Any = {"city": draw(TEXTS), "days": [1, draw(TEXTS)]}
            call = {"type": "function", "function": {"name": "weather", "arguments": arguments}}
            return {"role": role, "content": empty_call, "tool_calls": [call]}
        made = {"role": role, "content": draw(TEXTS)}
        return {**made, "reasoning_content": draw(TEXTS)} if thoughts and role == "assistant" else made

    return [[message(at, role) for at, role in enumerate(shape)] for _ in range(5)], tools


def runs(mask: list[bool]) -> tuple[tuple[int, int], ...]:
    found, place = [], 0
    for own, items in groupby(mask):
        length = len(list(items))
        found += [(place, place + length)] if own else []
        place += length
    return tuple(found)


def slowly(renderer: Renderer, messages: Any, tools: Any, only_last: bool) -> Any:
    try:
        found = renderer.examples(messages, tools, only_last=only_last)
    except (RefusedConversation, TemplateRewritesTurns):
        return None
    return [(item.ids, runs(item.mask)) for item in found]


class Both:
    """A renderer beside its plans; ``planned`` and ``proven`` count what was not left to the renderer."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer, self.planner = renderer, Planner(renderer.template)
        self.finder = SpanFinder(renderer.tokenizer, renderer.added_ids)
        self.planned = self.proven = 0

    def same(self, messages: Any, tools: Any = None, *, only_last: bool = False) -> None:
        """What is planned and proven is what the renderer finds."""
        before = copy.deepcopy(messages)
        found = self.planner.layouts(messages, tools, only_last=only_last)
        assert messages == before
        if found is None:
            return
        layouts = found[0]
        ids = self.finder.encode([layout.text for layout in layouts])
        spans = self.finder.spans(layouts, ids)
        wanted = slowly(self.renderer, messages, tools, only_last)
        assert wanted is not None, "a conversation that the template refuses has no plan"
        self.planned += 1
        if None not in spans:
            self.proven += 1
            assert list(zip(ids, spans, strict=True)) == wanted


def renderer_of(kind: str, template: str) -> Renderer:
    return Renderer(make_tiny_tokenizer(kind, template))


@pytest.fixture(scope="module")
def chatml() -> Any:
    return make_tiny_tokenizer("bpe", "qwen3")


# ---------------------------------------------------------------- the same as the renderer
@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_plans_are_what_the_renderer_finds(kind: str, name: str) -> None:
    renderer = renderer_of(kind, name)

    @PROFILE
    @given(conversations(), st.booleans())
    def check(made: Any, only_last: bool) -> None:
        rows, tools = made
        both = Both(renderer)
        for messages in rows:
            both.same(messages, tools, only_last=only_last)

    check()


def test_the_starter_is_what_the_renderer_finds() -> None:
    renderer = Renderer.from_folder(starter_path())

    @PROFILE
    @given(conversations(), st.booleans())
    def check(made: Any, only_last: bool) -> None:
        both = Both(renderer)
        for messages in made[0]:
            both.same(messages, made[1], only_last=only_last)

    check()


@pytest.mark.parametrize("name", [*FOLLOWED, *LEFT])
def test_a_template_that_decides_by_texts_is_what_the_renderer_finds(name: str, chatml: Any) -> None:
    renderer = Renderer(chatml, template={**FOLLOWED, **LEFT}[name])

    @PROFILE
    @given(conversations(thinking=False), st.booleans())
    def check(made: Any, only_last: bool) -> None:
        both = Both(renderer)
        for messages in made[0]:
            both.same(messages, None, only_last=only_last)

    check()


# ---------------------------------------------------------------- and nearly always
def ordinary(turns: int, system: bool, number: int) -> list[dict[str, Any]]:
    messages = [{"role": "system", "content": f"回答要简短。{number}"}] if system else []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"第 {turn} 问：2 + {number} = ?"})
        messages.append({"role": "assistant", "content": f"2 + {number} = {number + 2}.\n对。"})
    return messages


@pytest.mark.parametrize(("kind", "name"), KINDS)
@pytest.mark.parametrize("only_last", [False, True])
def test_ordinary_conversations_of_every_family_have_plans(kind: str, name: str, only_last: bool) -> None:
    both = Both(renderer_of(kind, name))
    for turns in (1, 4):
        for system in (False, True) if name != "gemma" else (False,):
            before = both.planned
            for number in range(12):
                both.same(ordinary(turns, system, number), only_last=only_last)
            assert both.planned - before == 10, "all but the two from which the plan is made"
    assert both.proven == both.planned


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_a_template_asks_of_a_text_is_followed(name: str, chatml: Any) -> None:
    both = Both(Renderer(chatml, template=FOLLOWED[name]))
    for number in range(60):
        both.same(ordinary(2, True, number))
    assert both.planned >= 40 and both.proven == both.planned


@pytest.mark.parametrize("name", LEFT)
def test_what_cannot_be_followed_has_no_plan(name: str, chatml: Any) -> None:
    both = Both(Renderer(chatml, template=LEFT[name]))
    for number in range(6):
        both.same(ordinary(1, False, number))
    assert both.planned == 0 and both.planner.counts.left == 6


def test_tool_calls_with_other_arguments_share_a_plan() -> None:
    for name in ("chatml", "qwen3", "llama3", "mistral"):
        both = Both(renderer_of("bpe", name))
        for number in range(8):
            call = {
                "type": "function",
                "function": {"name": "weather", "arguments": {"city": f"市 {number}"}},
            }
            messages = [
                {"role": "user", "content": f"天气 {number}？"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "content": f'{{"sky": "{number}"}}'},
                {"role": "assistant", "content": "晴。"},
            ]
            both.same(messages, [TOOL])
        assert both.planned == both.proven == 6, name


def test_a_form_that_needs_many_plans_is_left_to_the_template(chatml: Any) -> None:
    """A template that asks for the exact length of a text: no two rows go the same way."""
    asks = (
        "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + (m.content | length | string) }}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    )
    both = Both(Renderer(chatml, template=asks))
    for number in range(40):
        both.same([{"role": "user", "content": "a" * number}, {"role": "assistant", "content": "b"}])
    assert both.planner.counts.followed <= 8


# ---------------------------------------------------------------- tokenizers
def test_added_tokens_that_take_blanks_along(chatml: Any) -> None:
    tokenizer = copy.deepcopy(chatml)
    tokenizer.backend_tokenizer.add_special_tokens(
        [
            AddedToken("<|left|>", lstrip=True, normalized=False),
            AddedToken("<|right|>", rstrip=True, normalized=False),
            AddedToken("<|right|>x", normalized=False),
            AddedToken("<plain>", normalized=True),
        ]
    )
    template = (
        "{%- for m in messages %}{{- '<|left|>' + m.role + '<|right|>\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|left|>assistant<|right|>\\n' }}{%- endif %}"
    )
    both = Both(Renderer(tokenizer, template=template))
    said = [
        "yes",
        " <|left|>no",
        "a <|right|>  b",
        "<|right|>x <plain>",
        "\n\nno",
        "x",
        "",
        "<|left",
        "|>",
        " <plain>",
    ]
    for question in said:
        for answer in said:
            both.same([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
    assert both.planned >= 90 and both.proven >= 40


def normalised(name: str, template: str) -> Any:
    """The tiny tokenizers with rules that other families have."""
    tokenizer = make_tiny_tokenizer("sentencepiece" if name == "first" else "bpe", template)
    raw = tokenizer.backend_tokenizer
    if name == "first":  # a blank before the very first piece only
        raw.normalizer = normalizers.Replace(" ", "▁")
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    elif name == "every":  # a blank before each piece
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    else:
        raw.normalizer = normalizers.Sequence(
            [normalizers.Strip(), normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("!", "?!")]
        )
    return tokenizer


@pytest.mark.parametrize("name", ["first", "every", "changed"])
@pytest.mark.parametrize("template", ["chatml", "llama2", "mistral"])
def test_whatever_a_tokenizer_does_to_a_piece(name: str, template: str) -> None:
    both = Both(Renderer(normalised(name, template)))
    for question in AWKWARD[::3]:
        for answer in AWKWARD:
            both.same([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
    assert both.planned >= 300 and both.proven >= 200


def test_whole_words_only_is_not_supported(chatml: Any) -> None:
    tokenizer = copy.deepcopy(chatml)
    assert SpanFinder.supports(tokenizer)
    tokenizer.backend_tokenizer.add_tokens([AddedToken("whole", single_word=True, normalized=False)])
    assert not SpanFinder.supports(tokenizer)
    split = copy.deepcopy(chatml)
    split.split_special_tokens = True
    assert not SpanFinder.supports(split)


def test_a_tokenizer_that_cuts_and_pads_is_told_not_to(tmp_path: Path, chatml: Any) -> None:
    tokenizer = copy.deepcopy(chatml)
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    finder = SpanFinder(tokenizer, ())
    assert finder.encode(["a long enough text"]) == [
        chatml("a long enough text", add_special_tokens=False)["input_ids"]
    ]


def test_an_unknown_sign_is_no_added_token() -> None:
    """``<unk>`` is an added token that ordinary text becomes, too."""
    tokenizer = make_tiny_tokenizer("sentencepiece", "mistral")
    tokenizer.backend_tokenizer.model.byte_fallback = False
    both = Both(Renderer(tokenizer))
    for text in ("龘", "plain", "<unk>", "a龘<unk>b", "[INST]龘"):
        both.same([{"role": "user", "content": text}, {"role": "assistant", "content": f"{text} answer"}])
    assert both.planned == 3


def test_a_loaded_folder_is_supported(qwen: Path, llama: Path, gemma: Path) -> None:
    assert all(SpanFinder.supports(load_tokenizer(folder)) for folder in (qwen, llama, gemma))
