"""Every message of this area can be shown, in both languages, with the values it was raised with."""

from __future__ import annotations

import re

import pytest

from mozhu.kernel import errors
from mozhu.kernel.texts import page_texts, text_in
from mozhu.specs.export import ConvertSpec, MergeSpec


@pytest.mark.parametrize("page", ["export", "verb_merge", "verb_convert"])
def test_both_languages_say_the_same_things(page):
    chinese, english = page_texts("zh", page), page_texts("en", page)
    assert chinese.keys() == english.keys()
    for key in chinese:
        places = [set(re.findall(r"\{(\w+)\}", texts[key])) for texts in (chinese, english)]
        assert places[0] == places[1], key
        text_in("zh", f"{page}.{key}", **dict.fromkeys(places[0], "x"))


def test_every_error_has_its_three_texts():
    codes = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and getattr(error, "code", "").startswith("EXPORT-")
    }
    assert len(codes) >= 13
    for code in codes:
        assert {f"{code}.what", f"{code}.expected", f"{code}.next"} <= page_texts("en", "export").keys()


@pytest.mark.parametrize(("page", "spec"), [("verb_merge", MergeSpec), ("verb_convert", ConvertSpec)])
def test_every_field_has_its_text(page, spec):
    assert {f"field.{name}" for name in spec.model_fields} <= page_texts("zh", page).keys()
