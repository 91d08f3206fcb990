"""Modelfiles follow Ollama's grammar, and what it cannot say is refused before anything is written."""

from __future__ import annotations

import pytest

from mozhu.engine.export.modelfile import Command, make_modelfile, parse_modelfile
from mozhu.kernel.errors import BadModelfile


def test_a_made_file_reads_back_as_what_was_asked():
    content = make_modelfile(
        "a.gguf", "a", stops=("<|im_end|>", "</s>"), system='你是"助手"。\n# 不是注释', temperature=0.3
    )
    assert parse_modelfile(content) == [
        Command("FROM", "./a.gguf"),
        Command("PARAMETER", "<|im_end|>", "stop"),
        Command("PARAMETER", "</s>", "stop"),
        Command("PARAMETER", "0.3", "temperature"),
        Command("SYSTEM", '你是"助手"。\n# 不是注释'),
    ]


def test_the_model_s_own_template_is_left_in_force():
    assert "TEMPLATE" not in make_modelfile("a.gguf", "a", stops=("</s>",))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("FROM a\nWEIGHTS b\n", 2),  # printed in the wild, never part of the grammar
        ("FROM a\nQUANTIZE q4_0\n", 2),
        ("SYSTEM hello\n", 1),
        ("FROM a\nMESSAGE robot hi\n", 2),
        ('FROM a\nSYSTEM """no end\nmore\n', 2),
        ("FROM\n", 1),
    ],
)
def test_what_ollama_would_refuse_is_refused_with_its_line(content, line):
    with pytest.raises(BadModelfile) as caught:
        parse_modelfile(content)
    assert caught.value.params["line"] == line


def test_words_are_read_in_any_case_and_comments_are_left_out():
    assert parse_modelfile("# hi\n\nfrom ./m.gguf\nmessage user 你好\n") == [
        Command("FROM", "./m.gguf"),
        Command("MESSAGE", "你好", "user"),
    ]


def test_a_text_that_the_grammar_cannot_hold_is_refused():
    with pytest.raises(BadModelfile):
        make_modelfile("a.gguf", "a", system='three """ quotes')
