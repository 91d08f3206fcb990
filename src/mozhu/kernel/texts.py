"""One text catalogue, Chinese and English, for the command line, REST and the console.

The catalogue is ``mozhu/texts/<language>/<page>.json``. A key is ``page.name``; a page is read when
its first key is asked for, so ``mozhu --help`` pays for one page only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("zh", "en")
_FOLDER = Path(__file__).resolve().parent.parent / "texts"
_chosen: str | None = None
# The language of one request, beside others in the same process.
_here: ContextVar[str | None] = ContextVar("language", default=None)


def set_language(language: str | None) -> None:
    """Make every later text come in ``language`` (``zh`` or ``en``); ``None`` asks the environment again."""
    global _chosen
    _chosen = _known(language) if language else None


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Texts inside the block, and in threads and tasks begun there, come in ``language``; others are not touched."""
    token = _here.set(_known(language) if language else None)
    try:
        yield
    finally:
        _here.reset(token)


def language() -> str:
    """The language in force: of this request, else set by ``--lang``, else ``MOZHU_LANG``, the locale, English."""
    here = _here.get()
    if here:
        return here
    if _chosen:
        return _chosen
    for name in ("MOZHU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return _known(value)
    return "en"


def text(key: str, /, **params: object) -> str:
    """The text of ``key`` in the language in force, with ``{name}`` places filled from ``params``.

    Raises:
        KeyError: the catalogue has no such key in the language in force.
    """
    return text_in(language(), key, **params)


def text_in(lang: str, key: str, /, **params: object) -> str:
    """Like :func:`text`, in a named language."""
    page, _, name = key.partition(".")
    template = page_texts(lang, page)[name]
    return template.format(**params)


def has_text(key: str) -> bool:
    page, _, name = key.partition(".")
    return page in pages() and name in page_texts(language(), page)


def is_plain(value: str) -> bool:
    """Whether ``value`` is UTF-8 without NUL: what every database, file and client can keep."""
    try:
        return b"\x00" not in value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


@cache
def pages() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (_FOLDER / "en").glob("*.json")))


@cache
def page_texts(lang: str, page: str) -> dict[str, str]:
    """All texts of one page, by name without the page prefix."""
    with open(_FOLDER / lang / f"{page}.json", encoding="utf-8") as file:
        texts: dict[str, str] = json.load(file)
    return texts


def _known(value: str) -> str:
    return "zh" if value.lower().startswith("zh") else "en"
