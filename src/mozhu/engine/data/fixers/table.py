"""All fixers by name, in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from mozhu.engine.data.fixers.base import RowFixer, TextFixer
from mozhu.engine.data.fixers.encoding import ENCODING
from mozhu.engine.data.fixers.fences import FENCES
from mozhu.engine.data.fixers.html import HTML
from mozhu.engine.data.fixers.invisible import INVISIBLE
from mozhu.engine.data.fixers.markdown import MARKDOWN
from mozhu.engine.data.fixers.newlines import NEWLINES
from mozhu.engine.data.fixers.numbers import NUMBERS
from mozhu.engine.data.fixers.private import PII
from mozhu.engine.data.fixers.roles import ROLES, UNANSWERED
from mozhu.engine.data.fixers.scripts import SIMPLIFIED, TRADITIONAL
from mozhu.engine.data.fixers.spaces import SPACES
from mozhu.engine.data.fixers.width import WIDTH
from mozhu.kernel.errors import OpposedFixers, UnknownFixers

Fixer = RowFixer | TextFixer
# Rows first, for only a row that can be used has texts; then what a later one may need undone.
FIXERS: dict[str, Fixer] = {
    fixer.name: fixer
    for fixer in (
        *(NUMBERS, ROLES, UNANSWERED),
        *(ENCODING, NEWLINES, HTML, INVISIBLE, MARKDOWN, FENCES, WIDTH, SPACES),
        *(SIMPLIFIED, TRADITIONAL, PII),
    )
}
_ALL = "all"


def chosen(names: Iterable[str]) -> tuple[Fixer, ...]:
    """The fixers of these names in the order of the table, each once; ``all`` is every one that is not a choice.

    Raises:
        UnknownFixers: DATA-041 with every unknown name. OpposedFixers: DATA-042.
    """
    wanted = set(names)
    unknown = sorted(wanted - FIXERS.keys() - {_ALL})
    if unknown:
        near = [name for word in unknown for name in get_close_matches(word, FIXERS, 1, 0.5)]
        raise UnknownFixers(names=unknown, near=list(dict.fromkeys(near)) or ["-"], known=list(FIXERS))
    if {SIMPLIFIED.name, TRADITIONAL.name} <= wanted:
        raise OpposedFixers(first=SIMPLIFIED.name, second=TRADITIONAL.name)
    if _ALL in wanted:
        wanted |= {name for name, fixer in FIXERS.items() if not fixer.only_named}
    return tuple(fixer for name, fixer in FIXERS.items() if name in wanted)
