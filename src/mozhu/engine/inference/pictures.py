"""A question with pictures, for a vision-language model in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mozhu.engine.weights.load import OpenModel
from mozhu.engine.weights.vision import MARK, open_vision
from mozhu.kernel.errors import MissingFile

Message = dict[str, Any]


def shown_prompt(
    opened: OpenModel, messages: list[Message], images: list[str]
) -> tuple[list[int], dict[str, torch.Tensor]]:
    """The prompt's tokens with a place for every piece of ``images``, and what ``generate`` needs besides.

    Pictures without an ``<image>`` in the text come before the last question.

    Raises:
        MissingFile: FILE-001. SeesNoImages: INFER-004. MissingExtra: ENV-001.
    """
    for path in images:
        if not Path(path).is_file():
            raise MissingFile(path=path)
    vision = open_vision(opened.folder, opened.renderer)
    prompt = opened.renderer.prompt_ids(vision.marked(_with_marks(messages, len(images))))
    ids, _ = vision.expanded(prompt, prompt, vision.counts(images))
    inputs = {name: tensor.to(opened.device) for name, tensor in vision.inputs(images).items()}
    places = torch.tensor([[int(token == vision.token) for token in ids]], device=opened.device)
    return ids, {**inputs, "mm_token_type_ids": places}


def _with_marks(messages: list[Message], count: int) -> list[Message]:
    written = sum(str(message["content"]).count(MARK) for message in messages)
    last = messages[-1]
    missing = MARK * max(0, count - written)
    return [*messages[:-1], {**last, "content": f"{missing}{last['content']}"}]
