"""Every error of this room can be shown in both languages, with the same places."""

from __future__ import annotations

import string

import pytest

from mozhu.kernel import errors
from mozhu.kernel.texts import LANGUAGES, page_texts

ERRORS = [
    item
    for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, errors.MozhuError) and item.code.startswith("MODEL-")
]


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts_and_places() -> None:
    chinese, english = (page_texts(language, "model") for language in LANGUAGES)
    assert set(chinese) == set(english)
    for name in english:
        assert _places(chinese[name]) == _places(english[name]), name


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_each_error_has_its_three_texts(error: type[errors.MozhuError]) -> None:
    for language in LANGUAGES:
        texts = page_texts(language, "model")
        assert all(texts[f"{error.code}.{part}"] for part in ("what", "expected", "next"))
