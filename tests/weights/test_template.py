"""One source of prompt text, and masks that hold exactly what the assistant writes."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.weights.template import Rendered, Renderer
from mozhu.engine.weights.token_files import read_template
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import NoChatTemplate, RefusedConversation, TemplateRewritesTurns
from mozhu.testing import TINY_FAMILIES, make_tiny_model
from mozhu.testing.rows import tiny_rows

USER, MORE = {"role": "user", "content": "2 + 3?"}, {"role": "user", "content": "你好"}
ANSWER, SECOND = {"role": "assistant", "content": "2 + 3 = 5."}, {"role": "assistant", "content": "早上好。"}
TWO_TURNS = [USER, ANSWER, MORE, SECOND]
SYSTEM = {"role": "system", "content": "回答要简短。"}
CHATML_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def _runs(renderer: Renderer, rendered: Rendered) -> list[tuple[bool, str]]:
    """The text of each stretch of tokens with the same owner."""
    pairs = zip(rendered.mask, rendered.ids, strict=True)
    return [
        (own, renderer.tokenizer.decode([number for _, number in items]))
        for own, items in groupby(pairs, key=lambda pair: pair[0])
    ]


def _prompts_hold(renderer: Renderer, messages: list[dict[str, Any]], rendered: Rendered) -> None:
    """Before every answer stand exactly the ids that the model is given when it is asked."""
    starts = [
        place
        for place, own in enumerate(rendered.mask)
        if own and (place == 0 or not rendered.mask[place - 1])
    ]
    turns = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    for start, turn in zip(starts, turns, strict=True):
        assert rendered.ids[:start] == renderer.prompt_ids(messages[:turn])


def test_chatml_masks_each_answer_with_its_end_and_without_the_line_break(qwen: Path) -> None:
    renderer = Renderer.from_folder(qwen)
    rendered = renderer.conversation_ids(TWO_TURNS)
    assert _runs(renderer, rendered) == [
        (False, CHATML_SYSTEM + "<|im_start|>user\n2 + 3?<|im_end|>\n<|im_start|>assistant\n"),
        (True, "2 + 3 = 5.<|im_end|>"),
        (False, "\n<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n"),
        (True, "早上好。<|im_end|>"),
        (False, "\n"),
    ]
    _prompts_hold(renderer, TWO_TURNS, rendered)


def test_llama2_masks_each_answer_with_its_end(llama: Path) -> None:
    renderer = Renderer.from_folder(llama)
    rendered = renderer.conversation_ids(TWO_TURNS)
    tokens = renderer.tokenizer.convert_ids_to_tokens(rendered.ids)
    owned = [
        "".join(token for _, token in items)
        for own, items in groupby(zip(rendered.mask, tokens), lambda p: p[0])
        if own
    ]
    assert owned == ["▁2▁+▁3▁=▁5.▁</s>", "▁早上好。▁</s>"]
    others = [
        "".join(t for _, t in items)
        for own, items in groupby(zip(rendered.mask, tokens), lambda p: p[0])
        if not own
    ]
    assert [text.replace("▁", "") for text in others] == ["<s>[INST]2+3?[/INST]", "<s>[INST]你好[/INST]"]
    _prompts_hold(renderer, TWO_TURNS, rendered)


def test_gemma_masks_each_answer_with_its_end_and_without_the_line_break(gemma: Path) -> None:
    renderer = Renderer.from_folder(gemma)
    rendered = renderer.conversation_ids(TWO_TURNS)
    tokens = renderer.tokenizer.convert_ids_to_tokens(rendered.ids)
    owned = [
        "".join(token for _, token in items)
        for own, items in groupby(zip(rendered.mask, tokens), lambda p: p[0])
        if own
    ]
    assert [text.replace("▁", " ").strip() for text in owned] == [
        "2 + 3 = 5.<end_of_turn>",
        "早上好。<end_of_turn>",
    ]
    assert tokens[-1] == "<0x0A>" and not rendered.mask[-1]
    _prompts_hold(renderer, TWO_TURNS, rendered)


@pytest.mark.parametrize("name", ["qwen", "llama", "gemma"])
def test_ids_are_those_of_the_whole_text_and_of_transformers(
    name: str, request: pytest.FixtureRequest
) -> None:
    renderer = Renderer.from_folder(request.getfixturevalue(name))
    reference = renderer.tokenizer
    for row in tiny_rows(9, turns=2):
        messages = [item for item in row["messages"] if name != "gemma" or item["role"] != "system"]
        rendered = renderer.conversation_ids(messages)
        assert rendered.ids == reference.apply_chat_template(messages, return_dict=False)
        asked = messages[:-1]
        wanted = reference.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
        assert renderer.prompt_ids(asked) == wanted
        _prompts_hold(renderer, messages, rendered)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_text_is_the_one_of_transformers(family: str, tmp_path: Path) -> None:
    renderer = Renderer.from_folder(make_tiny_model(tmp_path / family, family))
    for messages in ([USER], TWO_TURNS):
        for prompt in (True, False):
            wanted = renderer.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt
            )
            assert renderer.text(messages, prompt=prompt) == wanted


def test_tools_reach_the_template_as_in_transformers(qwen: Path) -> None:
    renderer = Renderer.from_folder(qwen)
    tool = {"type": "function", "function": {"name": "weather", "description": "天气 <b>", "parameters": {}}}
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "北京"}}}
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "晴"},
        ANSWER,
    ]
    wanted = renderer.tokenizer.apply_chat_template(messages, tools=[tool], return_dict=False)
    rendered = renderer.conversation_ids(messages, [tool])
    assert rendered.ids == wanted
    owned = [text for own, text in _runs(renderer, rendered) if own]
    assert owned[0].startswith("<tool_call>") or owned[0].startswith("\n<tool_call>")
    assert owned[0].endswith("</tool_call><|im_end|>") and owned[1] == "2 + 3 = 5.<|im_end|>"


def test_the_mask_is_the_one_of_a_template_that_marks_answers_itself(qwen: Path) -> None:
    tokenizer = load_tokenizer(qwen)
    marked = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}"
        "{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    tokenizer.chat_template = marked
    wanted = tokenizer.apply_chat_template(TWO_TURNS, return_dict=True, return_assistant_tokens_mask=True)
    rendered = Renderer(tokenizer).conversation_ids(TWO_TURNS)
    assert rendered.ids == wanted["input_ids"]
    assert rendered.mask == [bool(own) for own in wanted["assistant_masks"]]


@pytest.mark.parametrize(
    "answer", ["\n\n从换行开始。", " leading blank", "", "ends with <|im_end|>", "多行\n\n\n", "x" * 40]
)
def test_awkward_answers_still_follow_their_prompt_exactly(qwen: Path, answer: str) -> None:
    renderer = Renderer.from_folder(qwen)
    messages = [USER, {"role": "assistant", "content": answer}]
    rendered = renderer.conversation_ids(messages)
    _prompts_hold(renderer, messages, rendered)
    owned = [text for own, text in _runs(renderer, rendered) if own]
    assert owned == [answer + "<|im_end|>"]
    assert renderer.tokenizer.decode(rendered.ids) == renderer.text(messages)


def test_only_the_last_answer_is_masked_when_asked(qwen: Path) -> None:
    renderer = Renderer.from_folder(qwen)
    rendered = renderer.conversation_ids(TWO_TURNS, only_last=True)
    assert [text for own, text in _runs(renderer, rendered) if own] == ["早上好。<|im_end|>"]


def test_a_conversation_that_opens_with_an_answer_masks_it(qwen: Path) -> None:
    renderer = Renderer.from_folder(qwen)
    runs = _runs(renderer, renderer.conversation_ids([ANSWER, MORE, SECOND]))
    assert [text for own, text in runs if own] == ["2 + 3 = 5.<|im_end|>", "早上好。<|im_end|>"]


# Like Qwen3: reasoning stands in the last answer only.
REWRITING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_a_template_that_rewrites_turns_is_refused_with_row_and_turn(qwen: Path) -> None:
    renderer = Renderer(load_tokenizer(qwen), template=REWRITING)
    with pytest.raises(TemplateRewritesTurns) as caught:
        renderer.conversation_ids(TWO_TURNS, row="d:v1#7")
    assert caught.value.params["row"] == "d:v1#7" and caught.value.params["turn"] == 2


def test_such_a_conversation_becomes_one_example_for_each_answer(qwen: Path) -> None:
    renderer = Renderer(load_tokenizer(qwen), template=REWRITING)
    examples = renderer.examples(TWO_TURNS)
    assert len(examples) == 2
    for example, turn in zip(examples, (1, 3), strict=True):
        prompt = renderer.prompt_ids(TWO_TURNS[:turn])
        assert example.ids[: len(prompt)] == prompt and not any(example.mask[: len(prompt)])
        owned = [text for own, text in _runs(renderer, example) if own]
        assert owned == [f"<think>\n\n</think>\n\n{TWO_TURNS[turn]['content']}<|im_end|>"]


def test_an_ordinary_conversation_is_one_example(qwen: Path) -> None:
    renderer = Renderer.from_folder(qwen)
    assert renderer.examples(TWO_TURNS) == [renderer.conversation_ids(TWO_TURNS)]


def test_labels_hide_what_the_assistant_does_not_write(qwen: Path) -> None:
    rendered = Renderer.from_folder(qwen).conversation_ids([USER, ANSWER])
    labels = rendered.labels()
    assert all((label == -100) != own for label, own in zip(labels, rendered.mask, strict=True))
    assert [label for label in labels if label != -100] == [
        number for number, own in zip(rendered.ids, rendered.mask, strict=True) if own
    ]


def test_stop_ids_hold_the_token_that_the_template_ends_turns_with(
    qwen: Path, llama: Path, gemma: Path
) -> None:
    for folder, token in ((qwen, "<|im_end|>"), (llama, "</s>"), (gemma, "<end_of_turn>")):
        renderer = Renderer.from_folder(folder)
        number = renderer.tokenizer.convert_tokens_to_ids(token)
        assert renderer.turn_end_ids() == [number] and number in renderer.stop_ids
    # Also where neither the tokenizer nor the configuration names it.
    bare = load_tokenizer(gemma)
    assert bare.convert_tokens_to_ids("<end_of_turn>") in Renderer(bare).stop_ids


def test_no_template_is_said_and_a_refusal_carries_the_template_s_words(qwen: Path, gemma: Path) -> None:
    tokenizer = load_tokenizer(qwen)
    tokenizer.chat_template = None
    with pytest.raises(NoChatTemplate):
        Renderer(tokenizer)
    with pytest.raises(RefusedConversation, match="System role not supported"):
        Renderer.from_folder(gemma).prompt_ids([SYSTEM, USER])


def test_a_template_cannot_reach_python(qwen: Path) -> None:
    for source in ("{{ messages.__class__.__mro__ }}", "{{ ''.__class__ }}", "{{ messages.append(1) }}"):
        renderer = Renderer(load_tokenizer(qwen), template=source)
        with suppress(RefusedConversation):
            assert "class" not in renderer.text([USER])


def test_the_tokenizer_gives_the_ids_of_its_file_whatever_the_family(tmp_path: Path) -> None:
    # transformers gives every qwen2 model Qwen2's own splitting; this one was trained without it
    told = make_tiny_model(tmp_path / "llama", "llama", tokenizer="sentencepiece")
    other = make_tiny_model(tmp_path / "qwen", "qwen2", tokenizer="sentencepiece")
    text = "你好 hello 12345\n 龘"
    assert load_tokenizer(other)(text)["input_ids"] == load_tokenizer(told)(text)["input_ids"]
    assert read_template(told) == load_tokenizer(told).chat_template
