"""What may be asked of data: the sample rows, and raw rows made ready for training."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mozhu.specs.base import FindingCodes, Paths, Positive, Share, Spec, Words

OverLength = Literal["reject", "right", "left", "middle", "split"]
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
# The built-in rows of the data set `sample`.
SAMPLE_ROWS = 10


class SampleSpec(Spec):
    """Sample rows in ``output_dir``: the ten built-in ones, or generated ones as ``<kind>_<count>.json``.

    ``count`` None is 10 for ``qa``, which are the built-in ones in ``sample_data.json``, and 100 for the others.
    """

    verb: ClassVar[str] = "data.sample"
    path_fields: ClassVar[tuple[str, ...]] = ("output_dir",)

    output_dir: str = "data/sample"
    kind: Literal["qa", "classification", "multi_turn", "preference", "image_captions"] = "qa"
    count: int | None = Field(default=None, ge=SAMPLE_ROWS, le=100_000)
    seed: int = Field(default=42, ge=0, lt=2**32)

    @property
    def rows(self) -> int:
        """How many rows are asked for."""
        return self.count or (SAMPLE_ROWS if self.kind == "qa" else 100)


class PrepareSpec(Spec):
    """Raw rows as a snapshot: recognised, mended, checked, converted and split.

    ``fix`` names fixers. ``duplicates`` says which later copies are left out, ``against`` names benchmarks whose
    rows are; neither counts as rejected. ``stratify`` keeps the shares for each value of a field, ``group`` keeps
    rows of one value together. ``template`` names the format of the extra ``text`` beside ``messages``; training
    uses ``messages``. ``register_as`` names the data set that the snapshot becomes a version of.
    """

    verb: ClassVar[str] = "data.prepare"
    path_fields: ClassVar[tuple[str, ...]] = ("input", "output_dir")
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset({"output_dir", "register_as"})

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
    stratify: str | None = Field(default=None, min_length=1)
    group: str | None = Field(default=None, min_length=1)
    fix: Words = ()
    duplicates: Literal["keep", "exact", "near"] = "keep"
    similarity: float = Field(default=0.9, ge=0.8, le=1)
    against: Paths = ()
    max_rejected_share: float = Field(default=0.005, ge=0, le=1)
    template: Literal["llama2", "none"] = "llama2"
    register_as: str | None = Field(default=None, min_length=1)

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
    against: Paths = ()
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
    over_length: OverLength = "right"
    html: str | None = None
    text_column: str = Field(default="text", min_length=1)
    system: str | None = None


class StatsSpec(Spec):
    """What a data set looks like, all its parts: lengths, turns, labels, languages, duplicates, sample rows.

    ``model`` None counts characters only. ``max_length`` None is the model's own limit, at most 2,048, as in
    training. ``duplicates``: ``auto`` looks for near ones up to 200,000 rows and for exact ones beyond. ``html``:
    the page to write besides.
    """

    verb: ClassVar[str] = "data.stats"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "dataset", "html")

    dataset: str = Field(min_length=1)
    model: str | None = Field(default=None, min_length=1)
    max_length: Positive | None = None
    train_on: Literal["all", "last"] = "all"
    over_length: OverLength = "right"
    batch_size: int = Field(default=8, ge=1, le=4096)
    rows_shown: int = Field(default=10, ge=0, le=1000)
    duplicates: Literal["auto", "near", "exact", "none"] = "auto"
    similarity: float = Field(default=0.9, ge=0.8, le=1)
    seed: int = Field(default=42, ge=0, lt=2**32)
    html: str | None = None
    format_type: RowShape = "auto"
    columns: str | None = None
    text_column: str = Field(default="text", min_length=1)
    system: str | None = None

    @model_validator(mode="after")
    def _tokens_need_a_model(self) -> StatsSpec:
        if self.max_length is not None and self.model is None:
            raise ValueError("data.rule.tokens_need_a_model")
        return self


class FixSpec(Spec):
    """What fixers would change in a data set, before and after; ``fix`` empty is every one that is no choice.

    ``rows``: of how many rows each fixer's change is shown.
    """

    verb: ClassVar[str] = "data.fix"
    path_fields: ClassVar[tuple[str, ...]] = ("dataset",)

    dataset: str = Field(min_length=1)
    fix: Words = ()
    rows: int = Field(default=10, ge=0)
    input_format: FileFormat = "auto"
    format_type: RowShape = "auto"
    columns: str | None = None
    text_column: str = Field(default="text", min_length=1)


class CheckSpec(Spec):
    """What is wrong with the rows of a data set, and which of them are there twice.

    ``stage``: what the rows are for; those that it does not learn from are reported. ``against``: files of
    benchmarks whose rows must not be learned. ``words``: files with a word or phrase a line that must not occur.
    ``report``: the file that takes all findings, one a line. ``similarity``: from which share of equal letters on
    two rows are near duplicates. Without ``duplicates`` rows are not compared with each other.
    """

    verb: ClassVar[str] = "data.check"
    path_fields: ClassVar[tuple[str, ...]] = ("dataset", "report")

    dataset: str = Field(min_length=1)
    stage: Literal["pt", "sft", "dpo", "kto", "classification"] | None = None
    against: Paths = ()
    words: Paths = ()
    report: str | None = None
    min_chars: int = Field(default=2, ge=0)
    max_chars: Positive = 20_000
    duplicates: bool = True
    similarity: float = Field(default=0.9, ge=0.8, le=1)
    format_type: RowShape = "auto"
    columns: str | None = None
    text_column: str = Field(default="text", min_length=1)
