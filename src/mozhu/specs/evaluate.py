"""What an evaluation may be asked for."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mozhu.specs.base import Positive, Spec, Words

DEFAULT_METRICS = ("perplexity", "bits_per_byte", "rouge1", "rouge2", "rougeL", "bleu", "f1", "exact_match")


class EvaluateSpec(Spec):
    """Score a model on test rows, beside the base it came from.

    ``checkpoint`` is a model, a run folder or an adapter; for an adapter its base is scored on the same rows.
    ``metrics``: ``perplexity``, ``bits_per_byte`` and the names of the slot ``mozhu.metrics``.
    ``output`` also writes the row table (CSV) there. ``merge`` first merges the adapter into its base.
    """

    verb: ClassVar[str] = "evaluate"
    has_presets: ClassVar[bool] = True
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset({"output_dir"})
    path_fields: ClassVar[tuple[str, ...]] = (
        "checkpoint",
        "base_model",
        "test_data",
        "train_data",
        "output",
        "output_dir",
        "merge_output",
    )

    checkpoint: str = Field(min_length=1)
    base_model: str | None = None
    test_data: str | None = None
    train_data: str | None = None
    output: str | None = None
    output_dir: str | None = None
    run_name: str | None = None

    metrics: Words = DEFAULT_METRICS
    compare_base: bool = True
    max_rows: Positive | None = None
    max_new_tokens: Positive = 256
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    system: str | None = None
    text_column: str = "text"
    batch_size: Positive = 8
    seed: int = Field(default=42, ge=0, lt=2**32)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    merge: bool = False
    merge_output: str | None = None

    @model_validator(mode="after")
    def _has_something_to_do(self) -> EvaluateSpec:
        if self.test_data is None and not self.merge:
            raise ValueError("eval.rule.test_data")
        if not self.metrics and not self.merge:
            raise ValueError("eval.rule.metrics")
        return self
