"""The words of evaluation: both languages, the same keys and places; every error and field has its words."""

from __future__ import annotations

import re

import pytest

from mozhu.kernel import errors
from mozhu.kernel.texts import page_texts, text_in
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.fields import fields_of

PAGES = ("eval", "report", "verb_evaluate")
ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and getattr(error, "code", "").startswith("EVAL-")
]


def places(text: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{(\w+)\}", text))


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_say_the_same(page: str) -> None:
    zh, en = page_texts("zh", page), page_texts("en", page)
    assert list(zh) == list(en)
    for name in zh:
        assert places(zh[name]) == places(en[name]), name


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_error_says_what_is_expected_and_what_to_do(
    error: type[errors.MozhuError], language: str
) -> None:
    names = set().union(
        *(
            places(page_texts(language, "eval")[f"{error.code}.{part}"])
            for part in ("what", "expected", "next")
        )
    )
    for part in ("what", "expected", "next"):
        assert text_in(language, f"eval.{error.code}.{part}", **dict.fromkeys(names, "x"))


def test_every_field_has_a_help_line() -> None:
    for field in fields_of(EvaluateSpec):
        assert field.help("evaluate"), field.name
