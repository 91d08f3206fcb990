"""Images of a row: found as files beside the data, one ``<image>`` in the text for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.data.asking import present
from mozhu.engine.data.field_names import IMAGE_FIELDS, TURN_FIELDS
from mozhu.engine.data.fields import type_name
from mozhu.engine.data.rows import RowProblem

MARK = "<image>"
_PARTS = {"image", "image_url", "input_image"}


def with_marks(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` with OpenAI's image parts as ``<image>`` in the text and the images' paths in ``images``."""
    name = next((name for name in TURN_FIELDS if isinstance(value.get(name), list)), None)
    if name is None or not any(_has_image(turn) for turn in value[name]):
        return value
    found: list[Any] = []
    turns = [_marked(turn, found) for turn in value[name]]
    return {**value, name: turns, **({"images": found} if found else {})}


def images_of(value: dict[str, Any], folders: Sequence[Path]) -> list[str]:
    """The row's images as absolute paths, looked for in ``folders``; without folders as they are written.

    Raises:
        RowProblem: DATA-140 for an image that is not there, DATA-142 for one that is no file.
    """
    name = present(value, IMAGE_FIELDS)
    if name is None or value[name] in ("", []):
        return []
    given = value[name] if isinstance(value[name], list) else [value[name]]
    many = isinstance(value[name], list)
    return [_place(item, f"{name}[{at}]" if many else name, folders) for at, item in enumerate(given)]


def check_marks(messages: list[dict[str, Any]], images: list[str]) -> None:
    """Every image has its ``<image>``; where there is none at all they are put before the first question.

    Raises:
        RowProblem: DATA-141.
    """
    marks = sum(str(message["content"]).count(MARK) for message in messages)
    if marks == len(images):
        return
    asked = next((message for message in messages if message["role"] == "user"), None)
    if marks or asked is None:
        raise RowProblem("DATA-141", "images", marks=marks, images=len(images))
    asked["content"] = MARK * len(images) + asked["content"]


def _has_image(turn: Any) -> bool:
    content = turn.get("content") if isinstance(turn, dict) else None
    return isinstance(content, list) and any(_is_image(part) for part in content)


def _is_image(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _PARTS


def _marked(turn: Any, found: list[Any]) -> Any:
    if not _has_image(turn):
        return turn
    parts = []
    for part in turn["content"]:
        if _is_image(part):
            image = present(part, ("image", "path", "image_url", "url"))
            if image is not None:
                written = part[image]
                found.append(
                    written.get("url") if isinstance(written, dict) and "url" in written else written
                )
            part = {"type": "text", "text": MARK}
        parts.append(part)
    return {**turn, "content": parts}


def _place(item: Any, field: str, folders: Sequence[Path]) -> str:
    if isinstance(item, dict):  # Hugging Face's form; bytes without a file cannot be kept in a text row
        written = item.get("path")
        if not written or (item.get("bytes") and not _found(written, folders)):
            raise RowProblem("DATA-142", field, found="bytes" if item.get("bytes") else "-")
        item = written
    if not isinstance(item, str) or not item.strip():
        raise RowProblem("DATA-104", field, found=type_name(item), wanted="string")
    if item.startswith("file://"):
        item = item.removeprefix("file://")
    if "://" in item or item.startswith("data:"):
        raise RowProblem("DATA-142", field, found=item.split(",")[0][:60])
    if not folders:
        return item
    found = _found(item, folders)
    if found is None:
        raise RowProblem("DATA-140", field, image=item, place=str(folders[0] / item))
    return found.as_posix()


def _found(written: str, folders: Sequence[Path]) -> Path | None:
    places = [folder / Path(written).expanduser() for folder in folders]
    found = next((place for place in places if place.is_file()), None)
    return found.absolute() if found else None
