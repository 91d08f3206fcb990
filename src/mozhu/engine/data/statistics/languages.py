"""The language of a text, as far as its letters tell."""

from __future__ import annotations

import numpy as np

from mozhu.engine.data.checks.languages import SIMPLIFIED, TRADITIONAL

# In this order everywhere: `zh` has no character that one script alone uses, `none` no letters at all.
LANGUAGES = ("zh_simplified", "zh_traditional", "zh", "zh_both", "en", "mixed", "other", "none")
_READ = 4000
_FEW_ACCENTS = 0.03
_MOST_SCATTERED = 0.1


def language_of_text(content: str) -> str:
    """One of :data:`LANGUAGES`, from the first four thousand characters.

    ``zh_both``: simplified and traditional characters stand in it in earnest. ``mixed``: Chinese and Latin letters,
    the Latin ones far more than a Chinese text has. ``other``: another script, or Latin letters with many accents.
    """
    content = content[:_READ]
    if content.isascii():
        return "en" if any(map(str.isalpha, content)) else "none"
    points = np.frombuffer(content.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    han = _between(points, 0x4E00, 0x9FFF) + _between(points, 0x3400, 0x4DBF)
    plain = _between(points, 0x41, 0x5A) + _between(points, 0x61, 0x7A)
    accented = _between(points, 0xC0, 0x24F) - int((points == 0xD7).sum()) - int((points == 0xF7).sum())
    foreign = (
        _between(points, 0x370, 0x1FFF) + _between(points, 0x3041, 0x30FF) - _between(points, 0x30FB, 0x30FB)
    )
    foreign += _between(points, 0xAC00, 0xD7A3)
    if foreign > 0.1 * (han + plain + foreign):
        return "other"
    if han and han * 2 >= plain:
        return _script(content)
    if han:
        return "mixed" if han >= 4 else "en"
    if plain + accented == 0:
        return "none"
    return "other" if accented > _FEW_ACCENTS * (plain + accented) else "en"


def _script(content: str) -> str:
    characters = set(content)
    traditional, simplified = characters & TRADITIONAL, characters & SIMPLIFIED
    if not traditional or not simplified:
        return "zh_traditional" if traditional else "zh_simplified" if simplified else "zh"
    first = sum(content.count(character) for character in traditional)
    second = sum(content.count(character) for character in simplified)
    if min(first, second) > _MOST_SCATTERED * (first + second):
        return "zh_both"
    return "zh_traditional" if first > second else "zh_simplified"


def _between(points: np.ndarray[tuple[int, ...], np.dtype[np.uint32]], low: int, high: int) -> int:
    return int(((points >= low) & (points <= high)).sum())
