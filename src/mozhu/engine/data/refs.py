"""The parts of what a person writes for data: a place, a subset after a colon, a number of rows after ``#``."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, replace
from pathlib import Path

_SAMPLE = re.compile(r"#(\d+)$")
_HUBS = {
    **dict.fromkeys(("modelscope", "ms"), "modelscope"),
    **dict.fromkeys(("huggingface", "hf"), "huggingface"),
}
_HUB = re.compile(r"^([A-Za-z]+)::?(?!/)(.+)$")


@dataclass(frozen=True)
class Ref:
    """``modelscope:owner/name:subset#500`` in its parts. ``rows``: so many are taken, always the same ones."""

    place: str
    subset: str | None = None
    rows: int | None = None
    hub: str | None = None


def parse_ref(written: str) -> Ref:
    """``written`` in its parts; what is there as a file or folder is a place as a whole (ms-swift's rules)."""
    if Path(written).expanduser().exists():
        return Ref(written)
    hub = _HUB.match(written)
    if hub and hub[1].lower() in _HUBS:
        return replace(parse_ref(hub[2]), hub=_HUBS[hub[1].lower()])
    sampled = _SAMPLE.search(written)
    if sampled:
        return replace(parse_ref(written[: sampled.start()]), rows=int(sampled[1]))
    place, colon, subset = written.rpartition(":")
    if colon and subset and len(place) > 1 and not subset.startswith(("/", "\\")):
        return Ref(place, subset)
    return Ref(written)


def is_glob(written: str) -> bool:
    return glob.has_magic(written)


def glob_files(written: str) -> list[Path]:
    """The files that a pattern with ``*``, ``?``, ``[…]`` or ``**`` names, sorted."""
    found = glob.glob(str(Path(written).expanduser()), recursive=True)
    return sorted(path for path in map(Path, found) if path.is_file())


def glob_root(written: str) -> Path:
    """The deepest folder that a pattern names without any sign."""
    parts = Path(written).expanduser().parts
    plain = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:plain]) if plain else Path()
