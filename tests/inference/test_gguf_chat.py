"""A GGUF file answers as the model it was made from, whatever its template writes by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from mozhu.engine.export.convert import run_convert
from mozhu.engine.inference.chat import open_chat
from mozhu.specs.export import ConvertSpec
from mozhu.specs.serve import InferSpec
from mozhu.testing.tiny_models import make_tiny_model

QUESTIONS = ["你好，请问几点开门？", "Who are you?", "1+1=?"]


def _silent(kind: str, /, **fields: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("family", "tokenizer"), [("llama", "sentencepiece"), ("qwen2", "bpe"), ("mistral", "bpe")]
)
def test_a_gguf_answers_as_its_model(tmp_path: Path, family: str, tokenizer: str) -> None:
    model = make_tiny_model(tmp_path / "model", family, tokenizer=tokenizer, hidden=64)
    target = tmp_path / "gguf"
    run_convert(ConvertSpec(model=str(model), quantization="F32", output_path=str(target)), tmp_path, _silent)
    file = next(target.rglob("*.gguf"))
    spec = {"max_new_tokens": 12, "dtype": "float32", "device": "cpu"}
    plain = open_chat(InferSpec(checkpoint=str(model), **spec))
    gguf = open_chat(InferSpec(checkpoint=str(file), **spec))
    conversations = [[{"role": "user", "content": question}] for question in QUESTIONS]
    try:
        wanted = [plain.answer(told) for told in conversations]
        assert [gguf.answer(told) for told in conversations] == wanted
        assert plain.answer_many(conversations) == wanted
        assert gguf.answer_many(conversations) == wanted
    finally:
        gguf.close()
        plain.close()
