"""Every code that the data room can report has its words in both languages, with the same places."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest

from mozhu.kernel.texts import LANGUAGES, page_texts
from mozhu.specs.data import PrepareSpec, SampleSpec
from mozhu.specs.fields import fields_of

ROOM = Path(__file__).resolve().parents[2] / "src/mozhu/engine/data"


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("page", ["data", "verb_data_sample", "verb_data_prepare"])
def test_both_languages_say_the_same_things(page: str) -> None:
    zh, en = (page_texts(language, page) for language in LANGUAGES)
    assert list(zh) == list(en)
    for key in zh:
        assert places(zh[key]) == places(en[key]), key


def test_every_code_used_in_the_room_has_its_words() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOM.glob("*.py"))
    for number in set(re.findall(r"DATA-\d{3}", code)):
        for part in ("what", "expected", "next"):
            assert f"{number}.{part}" in page_texts("zh", "data"), number


@pytest.mark.parametrize("spec", [SampleSpec, PrepareSpec])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_of_the_verbs_has_its_words(spec: type, language: str) -> None:
    texts = page_texts(language, "verb_" + spec.verb.replace(".", "_"))
    assert {f"field.{field.name}" for field in fields_of(spec)} <= set(texts)
    assert texts["summary"] and texts["examples"]


def test_the_shipped_json_files_are_valid() -> None:
    for path in [*ROOM.glob("*.json"), *ROOM.glob("templates/*.json")]:
        json.loads(path.read_text(encoding="utf-8"))
