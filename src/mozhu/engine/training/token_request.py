"""Everything that decides which tokens a training learns from, and the key that it makes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mozhu.engine.data.dataset import Reading, RowStream
from mozhu.engine.data.places import Place, find_place, has_own_part
from mozhu.engine.data.token_cache import cache_key
from mozhu.engine.training.defaults import max_length
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.token_files import TOKENIZER_FILES
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import sha256_file
from mozhu.kernel.machine import library_version
from mozhu.kernel.progress import utc_now
from mozhu.kernel.texts import language
from mozhu.specs.train import TrainSpec

# Raised when the same rows would give other tokens, or an entry holds other things.
FORMAT = 2
PARTS = ("train", "validation")
# What lies beside the store: which examples train and validate, and the rows that were lost or cut.
TRAIN, VALIDATION = "train.i64", "validation.i64"
REJECTED, OVER_LENGTH = "rejected.jsonl", "over_length.jsonl"
_MODEL_FILES = (
    *TOKENIZER_FILES,
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "chat_template.json",
    "config.json",
    "generation_config.json",
)
_LIBRARIES = ("tokenizers", "transformers", "jinja2")


@dataclass(frozen=True)
class TokenRequest:
    """``limit``: most tokens of an example. ``template``: the chat template's text, or ``None``."""

    spec: TrainSpec
    base: Path
    template: str | None
    limit: int
    reading: Reading
    places: tuple[Place, ...]

    @classmethod
    def of(cls, spec: TrainSpec, base: Path, model: ModelFolder) -> TokenRequest:
        """The request of ``spec``.

        Raises:
            What :func:`~mozhu.engine.data.places.find_place` raises.
        """
        named = refs(spec)
        places = tuple(find_place(ref, part) for ref, part in zip(named, PARTS, strict=False))
        if len(set(named)) < len(named) and places[1].snapshot is None:  # its rows are numbered anew
            places = (places[0], replace(places[1], name=f"{places[1].name}/{PARTS[1]}"))
        return cls(spec, base, model.template, max_length(spec, model), spec_reading(spec), places)

    @property
    def splits(self) -> bool:
        """Whether validation rows are taken from the training data."""
        return len(self.places) == 1 and self.spec.validation_split > 0

    def streams(self) -> list[RowStream]:
        """The rows of each data set: to train on, and to validate with where it is one of its own."""
        return [RowStream(place, self.reading) for place in self.places]

    def key(self) -> str:
        """Equal where the same tokens come out, with the same findings in the same words; reads the data once.

        A template that writes the date makes tokens that hold for a day.
        """
        spec = self.spec
        dated = "strftime_now" in (self.template or "")
        return cache_key(
            {
                "format": FORMAT,
                "data": [_content(ref, place) for ref, place in zip(refs(spec), self.places, strict=True)],
                "reading": asdict(self.reading),
                "model": [spec.model, str(self.base)],  # findings name them
                "files": {
                    name: sha256_file(self.base / name)
                    for name in _MODEL_FILES
                    if (self.base / name).is_file()
                },
                "template": self.template,
                "day": utc_now().date().isoformat() if dated else None,
                "stage": spec.stage,
                "train_on": spec.train_on,
                "max_length": self.limit,
                "over_length": spec.over_length,
                "split": [spec.validation_split, spec.seed] if self.splits else None,
                "accept": sorted(spec.accept),
                "language": language(),
                "libraries": {name: library_version(name) for name in _LIBRARIES},
            }
        )


def refs(spec: TrainSpec) -> list[str]:
    """What ``spec`` names as data: to train on, and to validate with, which may be a part of the same data set."""
    if spec.val_dataset:
        return [spec.dataset, spec.val_dataset]
    try:
        wanted = spec.validation_split > 0 and has_own_part(spec.dataset, PARTS[1])
    except MozhuError:
        wanted = False  # told by who reads the data
    return [spec.dataset, *([spec.dataset] if wanted else [])]


def spec_reading(spec: TrainSpec) -> Reading:
    return Reading(
        text_column=spec.text_column,
        system=spec.system,
        format_type=spec.format_type,
        input_format=spec.input_format,
        columns=spec.columns,
        stage=spec.stage,
    )


def _content(ref: str, place: Place) -> dict[str, Any]:
    """What is read of a place: its files' contents, and the names that go into row ids and findings."""
    return {
        "ref": ref,
        "name": place.name,
        "version": place.registration.reference if place.registration else None,
        "files": [[file.label, sha256_file(file.path)] for file in place.files],
        "shape": place.shape,
        "columns": repr(place.columns),
        "rows": place.rows,
    }
