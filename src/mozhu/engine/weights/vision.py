"""Images for a vision-language model of the Qwen2-VL kind: their tensors, and the tokens that stand for them.

Only the folder's image processor is used. Its whole processor would also make a video processor, which needs
torchvision; without torchvision images go through Pillow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor

from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.template import Renderer
from mozhu.kernel import slots
from mozhu.kernel.errors import SeesNoImages

MARK = "<image>"
_PROBE = "X"
# Beside a model's weights, so that it can read images again; never weights.
IMAGE_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")


@dataclass(frozen=True)
class Vision:
    """``text`` is what the template writes for an image; ``token`` stands once in it, and in the model once for each
    square of ``merge`` x ``merge`` patches.
    """

    processor: Any
    text: str
    token: int
    merge: int

    def marked(self, messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """``messages`` with every ``<image>`` as the template writes one."""
        return [
            {**message, "content": str(message["content"]).replace(MARK, self.text)}
            if isinstance(message.get("content"), str)
            else dict(message)
            for message in messages
        ]

    def counts(self, images: Sequence[str]) -> list[int]:
        """How many tokens each image becomes, from its size alone."""
        found = []
        for path in images:
            with _opened(path) as image:
                width, height = image.size
            patches = self.processor.get_number_of_image_patches(height, width, {})
            found.append(int(patches) // self.merge**2)
        return found

    def inputs(self, images: Sequence[str]) -> dict[str, torch.Tensor]:
        """``pixel_values`` (patches of all images, values), ``image_grid_thw`` (images, 3); nothing without images."""
        if not images:
            return {}
        opened = []
        for path in images:
            with _opened(path) as image:
                opened.append(image.convert("RGB"))
        found = self.processor(images=opened, return_tensors="pt")
        return {"pixel_values": found["pixel_values"], "image_grid_thw": found["image_grid_thw"]}

    def expanded(
        self, ids: Sequence[int], labels: Sequence[int], counts: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """``ids`` and ``labels`` with each image's token repeated as often as ``counts`` says.

        Raises:
            ValueError: there are not as many such tokens as images.
        """
        if sum(token == self.token for token in ids) != len(counts):
            raise ValueError(len(counts))
        left = iter(counts)
        times = [next(left) if token == self.token else 1 for token in ids]
        return (
            [token for token, count in zip(ids, times, strict=True) for _ in range(count)],
            [label for label, count in zip(labels, times, strict=True) for _ in range(count)],
        )


def open_vision(folder: ModelFolder, renderer: Renderer) -> Vision:
    """What ``folder`` needs to be shown images.

    Raises:
        SeesNoImages: INFER-004, it is no vision-language model of this kind. MissingExtra: ENV-001, Pillow.
    """
    slots.load("mozhu.rooms", "open_image")  # says which extra is missing
    token = folder.config.get("image_token_id")
    try:
        processor: Any = AutoImageProcessor.from_pretrained(
            str(folder.path), local_files_only=True, trust_remote_code=False
        )
        merge = int(processor.merge_size)
        if not isinstance(token, int) or not hasattr(processor, "get_number_of_image_patches"):
            raise AttributeError
    except (AttributeError, OSError, ValueError, ImportError) as error:
        raise SeesNoImages(path=str(folder.path), family=folder.family) from error
    return Vision(processor, _image_text(renderer, folder), token, merge)


def _image_text(renderer: Renderer, folder: ModelFolder) -> str:
    """What the template writes for an image: the difference that one makes."""
    parts = [{"type": "image"}, {"type": "text", "text": _PROBE}]
    with_image = renderer.text([{"role": "user", "content": parts}])
    without = renderer.text([{"role": "user", "content": _PROBE}])
    place = without.rfind(_PROBE)
    before, after = without[:place], without[place:]
    if not (with_image.startswith(before) and with_image.endswith(after)) or with_image == without:
        raise SeesNoImages(path=str(folder.path), family=folder.family)
    return with_image[len(before) : len(with_image) - len(after)]


def _opened(path: str | Path) -> Any:
    return slots.load("mozhu.rooms", "open_image")(path)
