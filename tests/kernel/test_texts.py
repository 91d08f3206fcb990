"""One catalogue, two languages: same pages, same keys, same places, and every text that code asks for is there."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import mozhu
from mozhu.kernel import errors, texts
from mozhu.kernel.errors import InternalError, MozhuError, error_class, shown_value
from mozhu.kernel.texts import LANGUAGES, has_text, language, page_texts, set_language, text, text_in

SOURCE = Path(mozhu.__file__).resolve().parent
PAGES = texts.pages()
PARTS = ("what", "expected", "next")
ERRORS = sorted(
    {
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, MozhuError) and item.code
    },
    key=lambda item: item.code,
)
FAMILIES = (
    errors.UsageError,
    errors.DataError,
    errors.MachineError,
    errors.StateError,
    errors.DeniedError,
    errors.InternalError,
)


def places(template: str) -> set[str]:
    """The ``{names}`` of a template; a name with an index or attribute would break on plain values."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def template_of(key: str) -> str:
    page, _, name = key.partition(".")
    return page_texts("en", page)[name]


# ---------------------------------------------------------------- the catalogue
def test_both_languages_have_the_same_pages() -> None:
    folders = {lang: {path.name for path in (SOURCE / "texts" / lang).iterdir()} for lang in LANGUAGES}
    assert folders["zh"] == folders["en"] == {f"{page}.json" for page in PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_texts_with_the_same_places(page: str) -> None:
    zh, en = (page_texts(lang, page) for lang in LANGUAGES)
    assert set(zh) == set(en)
    for name in en:
        assert isinstance(zh[name], str) and isinstance(en[name], str)
        assert places(zh[name]) == places(en[name]), f"{page}.{name}"
        assert all(place.isidentifier() for place in places(en[name])), f"{page}.{name}"
        assert bool(zh[name]) == bool(en[name]), f"{page}.{name}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_text_renders_without_braces_left(lang: str) -> None:
    for page in PAGES:
        for name, template in page_texts(lang, page).items():
            shown = text_in(lang, f"{page}.{name}", **dict.fromkeys(places(template), 1.5))
            assert "{{" not in shown and shown.count("{") == shown.count("}"), f"{page}.{name}"


def test_chinese_texts_are_chinese_and_english_ones_are_not() -> None:
    def is_chinese(value: str) -> bool:
        return any("\u4e00" <= letter <= "\u9fff" for letter in value)

    for page in PAGES:
        for name, value in page_texts("en", page).items():
            own_words = value.replace("模铸", "")
            assert not is_chinese(own_words) or "`" in value or "mozhu " in value or "example" in name, (
                f"{page}.{name}"
            )
    summaries = [page_texts("zh", page)["summary"] for page in PAGES if page.startswith("verb_")]
    assert all(map(is_chinese, summaries))


def test_pages_are_files_without_repeated_keys() -> None:
    def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)
        return dict(pairs)

    for path in (SOURCE / "texts").glob("*/*.json"):
        json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=no_repeats)


# ---------------------------------------------------------------- the language
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C", "MOZHU_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "MOZHU_LANG": "en"}, "en"),
    ],
)
def test_language_comes_from_mozhu_lang_then_the_locale(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected
    set_language("zh")
    assert language() == "zh"
    set_language(None)
    assert language() == expected


def test_a_text_that_is_not_there_is_an_error_of_the_program() -> None:
    with pytest.raises(KeyError):
        text("cli.no_such_text")
    assert not has_text("cli.no_such_text") and not has_text("nopage.what") and has_text("cli.usage")


def test_values_with_braces_are_shown_as_they_are() -> None:
    assert "`{path}`" in text_in("en", "file.FILE-001.what", path="{path}")


def test_literal_braces_of_a_text_are_shown_once() -> None:
    assert "{…}" in text_in("en", "spec.expected.object") and "{{" not in text_in(
        "en", "spec.expected.object"
    )


# ---------------------------------------------------------------- errors
def test_codes_are_unique_and_belong_to_a_page() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(codes) == len(set(codes))
    for code in codes:
        area, _, number = code.partition("-")
        assert area.isupper() and len(number) == 3 and number.isdigit()
        assert area.lower() in PAGES
        assert error_class(code) in ERRORS
    assert error_class("NONE-001") is None


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_error_has_its_three_texts_and_renders(kind: type[MozhuError], lang: str) -> None:
    page = page_texts(lang, kind.code.split("-")[0].lower())
    templates = {part: page[f"{kind.code}.{part}"] for part in PARTS}
    assert templates["what"] and (templates["next"] or templates["expected"])
    wanted = set().union(*map(places, templates.values()))
    set_language(lang)
    for value in ("x", "{y}", 7, None, ["a", "b"], {"k": 1.5}, "中文\n第二行"):
        error = kind(**dict.fromkeys(wanted, value), unused=1)
        assert error.what in str(error) and f"[{kind.code}]" in str(error)
        assert shown_value(value) in error.what + error.expected + error.next or not wanted
        assert json.loads(json.dumps(error.to_json()))["code"] == kind.code


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
def test_exit_codes_are_those_of_the_family(kind: type[MozhuError]) -> None:
    if kind in (errors.RunCancelled, errors.UploadPaused):  # what a shell says of Ctrl-C
        assert kind.exit_code == 130
        return
    family = [parent for parent in FAMILIES if issubclass(kind, parent)]
    assert len(family) == 1
    assert (
        kind.exit_code
        == {
            errors.UsageError: 2,
            errors.DataError: 3,
            errors.MachineError: 4,
            errors.StateError: 5,
            errors.DeniedError: 6,
            InternalError: 70,
        }[family[0]]
    )
    assert 400 <= kind.status < 600


# ---------------------------------------------------------------- what the source asks for
def source_files() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Each call in the package as (place, name of what is called, call)."""
    for place, module in source_files():
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                yield f"{place}:{node.lineno}", name, node


def given(call: ast.Call) -> set[str] | None:
    """The keywords of a call; ``None`` where some are spread from a table."""
    names = {keyword.arg for keyword in call.keywords}
    return None if None in names else {name for name in names if name}


def literal_keys(argument: ast.expr) -> list[str]:
    """The keys that an argument can be, where they stand in the code: one literal, or a choice of two."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    if isinstance(argument, ast.IfExp):
        return [*literal_keys(argument.body), *literal_keys(argument.orelse)]
    return []


def test_every_text_that_code_names_exists_and_gets_its_places() -> None:
    found = 0
    for place, name, call in calls():
        if name not in {"text", "text_in"} or not call.args:
            continue
        key_at = 1 if name == "text_in" else 0
        for key in literal_keys(call.args[key_at]):
            assert has_text(key), f"{place} asks for {key}"
            names = given(call)
            assert names is None or places(template_of(key)) <= names, f"{place}: {key}"
            found += 1
    assert found > 50


def test_every_page_that_code_builds_keys_of_exists() -> None:
    """``text(f"runs.state.{state}")``: some key begins so."""
    known = [f"{page}.{name}" for page in PAGES for name in page_texts("en", page)]
    for place, name, call in calls():
        if name != "text" or not call.args or not isinstance(call.args[0], ast.JoinedStr):
            continue
        first = call.args[0].values[0]
        if isinstance(first, ast.Constant):
            assert any(key.startswith(str(first.value)) for key in known), place


def test_every_error_is_raised_with_what_its_texts_show() -> None:
    kinds = {kind.__name__: kind for kind in ERRORS}
    found = set()
    for place, name, call in calls():
        names = given(call)
        if name not in kinds or names is None or call.args:
            continue
        page = page_texts("en", kinds[name].code.split("-")[0].lower())
        wanted = set().union(*(places(page[f"{kinds[name].code}.{part}"]) for part in PARTS))
        assert wanted <= names, f"{place}: {name} lacks {sorted(wanted - names)}"
        found.add(name)
    assert len(found) > 40


def test_every_finding_that_code_names_has_its_words() -> None:
    found = 0
    for place, name, call in calls():
        code, params = finding_of(name, call)
        if code is None:
            continue
        key = f"{code.split('-')[0].lower()}.{code}.what"
        assert has_text(key), f"{place} tells {code}"
        if isinstance(params, ast.Dict) and all(isinstance(item, ast.Constant) for item in params.keys):
            names = {str(item.value) for item in params.keys}  # type: ignore[union-attr]
            assert places(template_of(key)) <= names, f"{place}: {code}"
        found += 1
    assert found > 10


def finding_of(name: str, call: ast.Call) -> tuple[str | None, ast.expr | None]:
    """Code and parameters of ``Finding(level, code, params)`` and of ``emit("finding", code=…, params=…)``."""
    if name == "Finding" and len(call.args) >= 2 and isinstance(call.args[1], ast.Constant):
        return str(call.args[1].value), call.args[2] if len(call.args) > 2 else None
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    is_event = bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == "finding"
    if is_event and isinstance(keywords.get("code"), ast.Constant):
        return str(keywords["code"].value), keywords.get("params")  # type: ignore[attr-defined]
    return None, None
