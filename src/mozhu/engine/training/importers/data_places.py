"""The data sets that a foreign file names, as references of ours."""

from __future__ import annotations

import shlex
from pathlib import Path

from mozhu.engine.data.llama_factory import INFO_FILE, entry_names, is_info_file
from mozhu.engine.training.importers.work import Work
from mozhu.kernel.errors import BadJson, NotText
from mozhu.kernel.texts import text

_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".arrow", ".xlsx", ".gz", ".zst")


def written_place(work: Work, written: str | None) -> str:
    """A path as written where it is there from here, else seen from beside the file that names it."""
    if not written:  # refused, which is said elsewhere
        return ""
    path = Path(written).expanduser()
    if path.exists() or path.is_absolute():
        return written
    beside = _folder(work) / written
    return str(beside.absolute()) if beside.exists() else written


def put_places(work: Work, field: str, key: str, places: list[str], note: str = "") -> None:
    """``field`` is one reference; of several the first is taken, which stands against the import."""
    if not places:
        return
    if len(places) == 1:
        work.put(field, places[0], key, note=note)
        return
    work.values[field] = places[0]
    work.made_of[field] = (key,)
    folder = f"data/{Path(work.settings.source).stem or 'joined'}_joined"
    if work.values.get("stage", "sft") == "sft":
        lines = [
            shlex.join(
                ["mozhu", "data", "convert", "--input", place, "--to", "messages"]
                + ["--output", f"{folder}/{number}.jsonl"]
            )
            for number, place in enumerate(places, 1)
        ]
        work.unsupported(key, "several", count=len(places), folder=folder, commands="; ".join(lines))
    else:
        work.unsupported(key, "several_files", count=len(places), folder=folder)


def registered(work: Work, key: str, names: tuple[str, ...], folder: str) -> list[str]:
    """LLaMA-Factory's names as ``dataset_info.json:name``; a name that is not in the file is refused."""
    if folder.upper().startswith(("ONLINE", "REMOTE")):
        return list(names)
    info = _info_file(work, folder)
    if info is None:
        work.differs("dataset_dir", "no_info", path=f"{folder}/{INFO_FILE}")
        return [f"{folder}/{INFO_FILE}:{name}" for name in names]
    try:
        known = entry_names(info) if is_info_file(info) else []
    except (BadJson, NotText):
        known = []
    absent = [name for name in names if name not in known]
    if absent and key in work.given:
        expected = text("importing.expected.dataset", path=str(info), known=", ".join(known[:20]) or "-")
        work.refuse(key, expected)
    return [f"{_short(info)}:{name}" for name in names]


def hub_place(work: Work, written: str, hub: str) -> str:
    """A local path as it is; what has the form of a hub's name gets the hub's prefix."""
    bare = written.partition("#")[0].partition(":")[0]
    if written_place(work, bare) != bare or Path(bare).expanduser().exists():
        return written_place(work, bare) + written[len(bare) :]
    is_hub = bare.count("/") == 1 and not bare.startswith((".", "~", "/")) and not bare.endswith(_SUFFIXES)
    return f"{hub}:{written}" if is_hub and ":" not in written.partition("/")[0] else written


def _info_file(work: Work, folder: str) -> Path | None:
    """The registry in ``folder``: from here, beside the file, or above it, as in LLaMA-Factory's own tree."""
    near = _folder(work).absolute()
    for base in (Path.cwd(), near, *list(near.parents)[:3]):
        path = base / Path(folder).expanduser() / INFO_FILE
        if path.is_file():
            return path
    return None


def _short(path: Path) -> str:
    """Relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _folder(work: Work) -> Path:
    path = Path(work.settings.source)
    try:
        return path.parent if path.is_file() else Path.cwd()
    except OSError:
        return Path.cwd()
