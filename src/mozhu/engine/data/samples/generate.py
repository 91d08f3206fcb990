"""The generated sample sets by their kinds."""

from __future__ import annotations

from collections.abc import Iterator

from mozhu.engine.data.samples.captions import captioned, picture_of
from mozhu.engine.data.samples.classification import customer_message
from mozhu.engine.data.samples.dice import Row, fresh_rows
from mozhu.engine.data.samples.multi_turn import service_dialogue
from mozhu.engine.data.samples.preference import compared_answers
from mozhu.engine.data.samples.town import question_maker

MARK = "<image>"
_MAKERS = {
    "classification": customer_message,
    "multi_turn": service_dialogue,
    "preference": compared_answers,
    "image_captions": captioned,
}


def generated_rows(kind: str, count: int, seed: int) -> Iterator[Row]:
    """``count`` rows of ``kind``; those of ``image_captions`` still hold their ``scene``."""
    if kind == "qa":  # a fact may be asked for in every way there is
        yield from fresh_rows(kind, count, seed, question_maker(count, seed), blanks=0)
    else:
        yield from fresh_rows(kind, count, seed, _MAKERS[kind])


def captioned_row(row: Row, image: str) -> tuple[Row, bytes]:
    """A row with a ``scene`` as messages about the picture at ``image``, and that picture."""
    messages = [
        {"role": "user", "content": f"{MARK}{row['asked']}"},
        {"role": "assistant", "content": row["caption"]},
    ]
    return {"messages": messages, "images": [image]}, picture_of(row["scene"])
