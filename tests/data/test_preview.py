"""What the model sees: the preview shows exactly the tokens and labels of training, and who wrote each."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent / "template_faults"))

from families import FAMILIES, make_clean, rows_of

from mozhu.cli.main import main
from mozhu.engine.data.preview import ROLES, ExampleView, Preview, preview_row
from mozhu.engine.data.tokens import tokenize_rows
from mozhu.engine.scoring.report.preview import preview_page
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.texts import LANGUAGES, has_text, page_texts, set_language
from mozhu.testing import tiny_rows
from mozhu.testing.tiny_tokenizers import make_tiny_tokenizer


@pytest.fixture(scope="module")
def renderers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Renderer]:
    place = tmp_path_factory.mktemp("families")
    return {family: Renderer.from_folder(make_clean(family, place / family)) for family in FAMILIES}


def said(example: ExampleView) -> str:
    return "".join(token.text for token in example.tokens)


def of_role(example: ExampleView, role: str) -> str:
    return "".join(token.text for token in example.tokens if token.role == role)


# ---------------------------------------------------------------- the same as training and asking
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("train_on", ["all", "last"])
def test_tokens_and_labels_are_those_of_training(
    family: str, train_on: Any, renderers: dict[str, Renderer]
) -> None:
    renderer = renderers[family]
    for row in rows_of(family):
        wanted = tokenize_rows([row], renderer, max_length=4096, train_on=train_on).examples
        view = preview_row(row, renderer, renderer.tokenizer, train_on=train_on, max_length=4096)
        assert [[token.id for token in example.tokens] for example in view.examples] == [
            example.ids for example in wanted
        ]
        for example, labelled in zip(view.examples, wanted, strict=True):
            assert [token.trained for token in example.tokens] == [label != -100 for label in labelled.labels]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_of_the_tokens_is_the_text_that_the_template_writes(
    family: str, renderers: dict[str, Renderer]
) -> None:
    renderer = renderers[family]
    for row in rows_of(family):
        messages, tools = row["messages"], row.get("tools")
        view = preview_row(row, renderer, renderer.tokenizer, max_length=4096)
        if len(view.examples) == 1:
            assert said(view.examples[0]) == renderer.text(messages, tools)
        asked = preview_row(row, renderer, renderer.tokenizer, stage="infer")
        assert [token.id for token in asked.examples[0].tokens] == renderer.prompt_ids(messages[:-1], tools)
        assert said(asked.examples[0]) == renderer.text(messages[:-1], tools, prompt=True)
        assert not any(token.trained or token.cut for token in asked.examples[0].tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_message_is_found_in_any_template(family: str, renderers: dict[str, Renderer]) -> None:
    renderer = renderers[family]
    for row in [*tiny_rows(3, turns=2), *([] if family == "gemma" else tiny_rows(4)[3:])]:
        (*_, example) = preview_row(row, renderer, renderer.tokenizer).examples
        for turn, message in enumerate(row["messages"], start=1):
            found = "".join(token.text for token in example.tokens if token.turn == turn)
            roles = {token.role for token in example.tokens if token.turn == turn}
            assert message["content"].strip() in found or found.strip() in message["content"]
            assert roles == {message["role"]}
            assert abs(len(found) - len(message["content"])) <= 3
        assert {token.role for token in example.tokens} <= set(ROLES)


def test_the_templates_own_system_prompt_is_shown(renderers: dict[str, Renderer]) -> None:
    renderer = renderers["chatml"]
    view = preview_row(tiny_rows(1)[0], renderer, renderer.tokenizer)
    assert view.inserted == "You are a helpful assistant." == of_role(view.examples[0], "inserted")
    told = preview_row(tiny_rows(4)[3], renderer, renderer.tokenizer)
    assert told.inserted is None and of_role(told.examples[0], "system")
    for family in ("llama2", "llama3", "gemma", "mistral", "qwen3"):
        plain = preview_row(tiny_rows(1)[0], renderers[family], renderers[family].tokenizer)
        assert plain.inserted is None, family


def test_tools_calls_and_thoughts_have_their_roles(renderers: dict[str, Renderer]) -> None:
    renderer = renderers["qwen3"]
    *_, tools, thinking = rows_of("qwen3")
    (*_, example) = preview_row(tools, renderer, renderer.tokenizer).examples
    assert '"name": "weather"' in of_role(example, "tools") and "晴" in of_role(example, "tool")
    calls = "".join(token.text for token in example.tokens if token.role == "assistant")
    assert "<tool_call>" in calls or "<tool_call>" in of_role(example, "template")
    first, second = preview_row(thinking, renderer, renderer.tokenizer).examples
    assert of_role(first, "thinking") == "two and three" and of_role(second, "thinking") == "three and three"
    assert all(token.trained for token in second.tokens if token.role == "thinking")


def test_what_is_cut_is_what_training_cuts(renderers: dict[str, Renderer]) -> None:
    renderer = renderers["chatml"]
    row = tiny_rows(1)[0]
    whole = len(renderer.conversation_ids(row["messages"]).ids)
    (example,) = preview_row(row, renderer, renderer.tokenizer, max_length=whole - 4).examples
    assert example.cut == 4 and [token.cut for token in example.tokens[-5:]] == [False] + [True] * 4
    kept = tokenize_rows([row], renderer, max_length=whole - 4).examples[0]
    assert example.trained == sum(label != -100 for label in kept.labels)


def test_a_text_row_shows_its_beginning_and_its_end(renderers: dict[str, Renderer]) -> None:
    tokenizer = renderers["llama2"].tokenizer
    row = {"row_id": "t#1", "text": "天地玄黄 hello"}
    (example,) = preview_row(row, None, tokenizer).examples
    assert [token.id for token in example.tokens] == tokenize_rows(
        [row], None, max_length=99, tokenizer=tokenizer
    ).examples[0].ids
    assert (example.tokens[0].text, example.tokens[-1].text) == ("<s>", "</s>")
    assert said(example) == "<s>天地玄黄 hello</s>" and all(token.trained for token in example.tokens)


def test_rows_that_training_drops_say_why(renderers: dict[str, Renderer]) -> None:
    gemma = renderers["gemma"]
    assert preview_row(tiny_rows(4)[3], gemma, gemma.tokenizer).refused["code"] == "DATA-122"  # type: ignore[index]
    image = {**tiny_rows(1)[0], "images": ["a.png"]}
    assert preview_row(image, gemma, gemma.tokenizer).refused["code"] == "DATA-123"  # type: ignore[index]
    none = preview_row(tiny_rows(1)[0], None, gemma.tokenizer)
    assert none.refused and none.refused["code"] == "MODEL-003"


# ---------------------------------------------------------------- page, terminal, JSON
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_self_contained_and_harmless(language: str, renderers: dict[str, Renderer]) -> None:
    set_language(language)
    renderer = renderers["chatml"]
    evil = '<script>alert(1)</script> & "x"\n\ttab'
    row = {**tiny_rows(1)[0]}
    row["messages"] = [{"role": "user", "content": evil}, {"role": "assistant", "content": evil}]
    refused = {**tiny_rows(1)[0], "images": ["a.png"]}
    views = [preview_row(item, renderer, renderer.tokenizer, max_length=40) for item in (row, refused)]
    page = preview_page(Preview("m", "d", "train", "all", 40, "sha256:" + "0" * 64, views))
    assert "<script" not in page and not re.search(r"https?://|@import|url\(|src=", page)
    assert "prefers-color-scheme: dark" in page and page.count("<!doctype html>") == 1
    for name in ("role.user", "is_trained", "is_cut", "role.inserted"):
        assert page_texts(language, "preview")[name] in page
    assert 'class="t assistant on"' in page and "cut" in page and "DATA-123" in page


def test_both_languages_have_the_same_words() -> None:
    assert list(page_texts("zh", "preview")) == list(page_texts("en", "preview"))
    for role in ROLES:
        assert has_text(f"preview.role.{role}")


def test_the_command_shows_rows_writes_the_page_and_speaks_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "preview", "--model", "starter", "--dataset", "sample", "--lang", "en"]
    page = tmp_path / "page.html"
    assert main([*words, "--rows", "2", "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "assistant [trained]: " in shown and "\x1b[" not in shown and "sample#2" in shown
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert main([*words, "--row", "3", "--stage", "infer", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    (row,) = value["rows"]
    assert row["row_id"] == "sample#3" and value["stage"] == "infer" and value["trained"] == 0
    assert row["examples"][0]["tokens"][0].keys() >= {"id", "text", "role", "trained", "cut"}
    assert main([*words, "--row", "sample#3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["row_id"] == "sample#3"
    assert main([*words, "--row", "99"]) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_colour_comes_on_a_terminal_only(tmp_path: Path) -> None:
    words = ["data", "preview", "--model", "starter", "--dataset", "sample", "--rows", "1", "--lang", "en"]
    leader, follower = pty.openpty()
    settings = {**os.environ, "TERM": "xterm-256color"}
    settings.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "mozhu", *words]
    process = subprocess.Popen(
        command, stdout=follower, stderr=subprocess.DEVNULL, env=settings, cwd=tmp_path
    )
    os.close(follower)
    said_there = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        said_there += part
    assert process.wait() == 0
    assert b"\x1b[" in said_there and "underlined: trained" in said_there.decode("utf-8")


@pytest.mark.parametrize("policy", ["reject", "right", "left", "middle", "split"])
def test_what_is_shown_as_kept_is_what_training_gets(policy: str) -> None:
    """For every policy the tokens that are not struck, and which of them are trained, are those of the examples."""
    renderer = Renderer(make_tiny_tokenizer("bpe"))
    turns = [("一二三" * 9, "四五六" * 9), ("七八" * 5, "九十" * 40), ("天地", "玄黄" * 5)]
    messages: list[dict[str, Any]] = [{"role": "system", "content": "你是助手。"}]
    for question, answer in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    for row in (
        {"row_id": "d#1", "messages": messages},
        {"row_id": "d#2", "messages": messages[:5]},
        {"row_id": "d#3", "text": "天地玄黄，宇宙洪荒。" * 30},
    ):
        view = preview_row(row, renderer, renderer.tokenizer, max_length=70, over_length=policy)  # type: ignore[arg-type]
        rows = [row, {"row_id": "short", "text": "一"}]
        made = tokenize_rows(rows, renderer, max_length=70, over_length=policy)  # type: ignore[arg-type]
        wanted = [(item.ids, item.labels) for item in made.examples if item.row_id != "short"]
        shown = []
        for example in view.examples:
            kept = [token for token in example.tokens if not token.cut]
            labels = [token.id if token.trained else -100 for token in kept]
            shown += [([token.id for token in kept], labels)] if kept else []
        assert shown == wanted
        assert view.examples[0].cut or policy == "split"
