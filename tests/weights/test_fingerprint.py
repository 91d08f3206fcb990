"""Equal models have equal fingerprints however they are stored; a small change shows in its own part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.engine.weights.fingerprint import PARTS, differing_parts, fingerprint
from mozhu.engine.weights.headers import read_header
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.testing import starter_path
from mozhu.testing.tiny_models import reshard

Copy = Callable[[Path], Path]


def _changed(before: dict[str, str], folder: Path) -> list[str]:
    after = fingerprint(folder)
    assert (before["whole"] != after["whole"]) == any(before[part] != after[part] for part in PARTS)
    return differing_parts(before, after)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_sharding_does_not_change_it(llama: Path, copied: Copy, shards: int) -> None:
    assert fingerprint(reshard(copied(llama), shards)) == fingerprint(llama)


def test_indentation_and_unused_settings_do_not_change_it(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(dict(reversed(value.items()))), encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "name_or_path": "elsewhere"}))
    (folder / "README.md").write_text("hello")
    assert _changed(fingerprint(qwen), folder) == []


def test_a_template_moved_into_the_tokenizer_s_settings_does_not_change_it(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    assert _changed(fingerprint(qwen), folder) == []


def test_one_flipped_bit_changes_the_weights(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert _changed(fingerprint(qwen), folder) == ["weights"]


def test_two_exchanged_tensors_change_the_weights(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    path = folder / "model.safetensors"
    tensors = read_header(path)
    content = bytearray(path.read_bytes())
    one, other = (tensors[f"model.layers.{n}.self_attn.q_proj.weight"] for n in (0, 1))
    saved = content[one.start : one.end]
    content[one.start : one.end] = content[other.start : other.end]
    content[other.start : other.end] = saved
    path.write_bytes(content)
    assert _changed(fingerprint(qwen), folder) == ["weights"]


def test_another_end_of_answer_changes_the_tokenizer(qwen: Path, copied: Copy) -> None:
    before = fingerprint(qwen)
    folder = copied(qwen)
    value = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**value, "eos_token_id": [3]}))
    assert _changed(before, folder) == ["tokenizer"]


def test_another_piece_changes_the_tokenizer(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    value = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    value["model"]["merges"].pop()
    (folder / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    assert _changed(fingerprint(qwen), folder) == ["tokenizer"]


@pytest.mark.parametrize(
    "old,new", [("'<|im_end|>\\n'", "'<|im_end|>'"), ("helpful", "useful"), ("# Tools", "# Tool")]
)
def test_another_prompt_text_changes_the_template(qwen: Path, copied: Copy, old: str, new: str) -> None:
    folder = copied(qwen)
    path = folder / "chat_template.jinja"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert _changed(fingerprint(qwen), folder) == ["template"]


def test_another_writing_of_the_same_template_does_not(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    path = folder / "chat_template.jinja"
    path.write_text("{#- a comment -#}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert _changed(fingerprint(qwen), folder) == []


def test_a_template_that_writes_the_date_has_the_same_fingerprint_every_day(
    qwen: Path, copied: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(qwen)
    source = "{{ strftime_now('%Y-%m-%d') }}{{ messages[0].content }}"
    (folder / "chat_template.jinja").write_text(source)
    again = fingerprint(folder)
    (folder / "chat_template.jinja").write_text("2024-01-01{{ messages[0].content }}")
    assert fingerprint(folder) == again


def test_a_model_without_template_has_a_fingerprint(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    (folder / "chat_template.jinja").unlink()
    assert _changed(fingerprint(qwen), folder) == ["template"]


def test_a_tokenizer_saved_again_is_the_same(llama: Path, copied: Copy) -> None:
    folder = copied(llama)
    load_tokenizer(llama).save_pretrained(folder)
    assert _changed(fingerprint(llama), folder) == []


@pytest.mark.skipif(not (starter_path() / "config.json").is_file(), reason="the starter is not built")
def test_the_starter_has_a_fingerprint_and_keeps_it() -> None:
    assert fingerprint(starter_path()) == fingerprint(starter_path())
