"""What may be asked of data: the sample rows, and raw rows made ready for training."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mozhu.specs.base import FindingCodes, Positive, Share, Spec, Words

FileFormat = Literal["auto", "json", "jsonl", "csv", "text", "parquet", "arrow", "xlsx"]
RowShape = Literal[
    "auto",
    "alpaca",
    "messages",
    "sharegpt",
    "prompt",
    "text",
    "preference",
    "ranking",
    "kto",
    "classification",
]


class SampleSpec(Spec):
    """The ten built-in rows, written to ``output_dir/sample_data.json``."""

    verb: ClassVar[str] = "data.sample"
    path_fields: ClassVar[tuple[str, ...]] = ("output_dir",)

    output_dir: str = "data/sample"


class PrepareSpec(Spec):
    """Raw rows as a snapshot: recognised, checked, converted and split.

    ``max_rejected_share`` None: rejected rows are reported only. ``template`` names the format of the extra
    ``text`` beside ``messages``; training uses ``messages``.
    """

    verb: ClassVar[str] = "data.prepare"
    path_fields: ClassVar[tuple[str, ...]] = ("input", "output_dir")
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset({"output_dir"})

    input: str = Field(min_length=1)
    input_format: FileFormat = "auto"
    format_type: RowShape = "auto"
    columns: str | None = None
    output_dir: str = "data/finetune"
    output_name: str = Field(default="train", pattern=r"^\w[\w.\-]*$")
    text_column: str = Field(default="text", min_length=1)
    system: str | None = None
    train_share: float = Field(default=0.8, gt=0, le=1)
    validation_share: Share = 0.1
    test_share: Share = 0.1
    seed: int = Field(default=42, ge=0, lt=2**32)
    max_rejected_share: float | None = Field(default=None, ge=0, le=1)
    template: Literal["llama2", "none"] = "llama2"

    @model_validator(mode="after")
    def _shares_add_to_one(self) -> PrepareSpec:
        if abs(self.train_share + self.validation_share + self.test_share - 1) > 1e-6:
            raise ValueError("data.rule.shares_add_to_one")
        return self


class DataConvertSpec(Spec):
    """Rows of any shape written in another; ``to`` text is seed 004's. All of them or, beyond
    ``max_rejected_share``, nothing.
    """

    verb: ClassVar[str] = "data.convert"
    path_fields: ClassVar[tuple[str, ...]] = ("input", "output")
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset({"output"})

    input: str = Field(min_length=1)
    to: Literal["text", "messages", "alpaca", "sharegpt", "prompt"]
    output: str = Field(min_length=1)
    input_format: FileFormat = "auto"
    format_type: RowShape = "auto"
    columns: str | None = None
    text_column: str = Field(default="text", min_length=1)
    system: str | None = None
    max_rejected_share: float = Field(default=0.0, ge=0, le=1)


class ParitySpec(Spec):
    """Token for token, the same text in training, in asking, in plain transformers and in every copy.

    ``against``: folders (adapter, merged model) and GGUF files made from the model. ``accept``: findings that
    do not count, by their codes.
    """

    verb: ClassVar[str] = "data.parity"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "dataset")

    model: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    against: Words = ()
    rows: Positive = 200
    train_on: Literal["all", "last"] = "all"
    accept: FindingCodes = ()
    text_column: str = Field(default="text", min_length=1)
    system: str | None = None


class PreviewSpec(Spec):
    """Rows as the model sees them: every token with its role, trained or not, cut off or not.

    ``row``: its place in the data from 1, or its id. ``html``: the file to write besides.
    ``max_length`` None is the model's own limit, at most 2,048, as in training.
    """

    verb: ClassVar[str] = "data.preview"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "dataset", "html")

    model: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    row: str | None = None
    rows: Positive = 3
    stage: Literal["train", "infer"] = "train"
    train_on: Literal["all", "last"] = "all"
    max_length: Positive | None = None
    html: str | None = None
    text_column: str = Field(default="text", min_length=1)
    system: str | None = None


class CheckSpec(Spec):
    """What is wrong with the rows of a data set, and which of them are there twice.

    ``against``: files of benchmarks whose rows must not be learned. ``words``: a file with a word or phrase a
    line that must not occur. ``report``: the file that takes all findings, one a line. ``similarity``: from which
    share of equal letters on two rows are near duplicates.
    """

    verb: ClassVar[str] = "data.check"
    path_fields: ClassVar[tuple[str, ...]] = ("dataset", "words", "report")

    dataset: str = Field(min_length=1)
    against: Words = ()
    words: str | None = None
    report: str | None = None
    min_chars: int = Field(default=2, ge=0)
    max_chars: Positive = 20_000
    similarity: float = Field(default=0.9, ge=0.8, le=1)
    format_type: RowShape = "auto"
    columns: str | None = None
    text_column: str = Field(default="text", min_length=1)
