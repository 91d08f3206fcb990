"""Whether a name inside an archive is one that may become a file: on this system and on every other."""

from __future__ import annotations

import re
import unicodedata

_LONGEST_PART, _LONGEST = 255, 1024
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def plain_name(name: str) -> str:
    """``name`` without the ``./`` that tar writes before it and the ``/`` that marks a folder."""
    while name.startswith("./"):
        name = name[2:]
    return name.rstrip("/")


def name_fault(name: str, depth: int) -> str | None:
    """Why ``name`` is refused, as a word; ``None`` for a good one. Refused names are never mended."""
    parts = name.split("/")
    if not name or "" in parts or len(name.encode("utf-8", "surrogatepass")) > _LONGEST:
        return "absolute" if name.startswith("/") else "empty"
    if _DRIVE.match(name) or "\\" in name or ":" in name:
        return "absolute" if _DRIVE.match(name) else "separator"
    if any(part in (".", "..") for part in parts):
        return "outside"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in name):
        return "control"
    if unicodedata.normalize("NFC", name) != name:
        return "unicode"
    if any(_DEVICES.fullmatch(part) or part.endswith((".", " ")) or part.startswith(" ") for part in parts):
        return "reserved"
    if any(len(part.encode()) > _LONGEST_PART for part in parts):
        return "empty"
    return "depth" if len(parts) > depth else None


class NameRegister:
    """The names of one archive, each asked once: of which would some system make one file?"""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def collides(self, name: str) -> bool:
        """Whether ``name`` equals an earlier one, also but for case, or is a file where the other is a folder."""
        key = name.casefold()
        above = {key[:place] for place, letter in enumerate(key) if letter == "/"}
        taken = key in self._files or key in self._folders or bool(above & self._files)
        self._files.add(key)
        self._folders |= above
        return taken
