"""What may be asked of adapters: what they are, how alike they are, and new ones out of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mozhu.specs.base import Paths, Positive, Spec
from mozhu.specs.export import Numbers

Method = Literal[
    "sum",
    "linear",
    "cat",
    "svd",
    "ties",
    "ties_svd",
    "dare_linear",
    "dare_linear_svd",
    "dare_ties",
    "dare_ties_svd",
    "magnitude_prune",
    "magnitude_prune_svd",
]
_THINNING = ("ties", "dare", "magnitude")


class AdapterListSpec(Spec):
    """Every adapter below ``folder``, at most four folders deep."""

    verb: ClassVar[str] = "adapters.list"
    path_fields: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = "."


class AdapterShowSpec(Spec):
    """One adapter and each of its modules."""

    verb: ClassVar[str] = "adapters.show"
    path_fields: ClassVar[tuple[str, ...]] = ("adapter",)

    adapter: str = Field(min_length=1)


class CompareSpec(Spec):
    """How alike the changes of two adapters are."""

    verb: ClassVar[str] = "adapters.compare"
    path_fields: ClassVar[tuple[str, ...]] = ("adapter", "other")

    adapter: str = Field(min_length=1)
    other: str = Field(min_length=1)


class CombineSpec(Spec):
    """One adapter of several, each ``weights`` times (1 where none are given).

    ``sum`` is exact; the other methods are those of PEFT's ``add_weighted_adapter``. ``density``: the share of values
    that ties, dare and magnitude_prune keep. ``rank``: of the methods that end in ``svd``; None is the largest rank.
    """

    verb: ClassVar[str] = "adapters.combine"
    path_fields: ClassVar[tuple[str, ...]] = ("adapters", "base_model", "output_path")

    adapters: Paths = Field(min_length=1)
    weights: Numbers = ()
    method: Method = "sum"
    density: float | None = Field(default=None, gt=0.0, le=1.0)
    rank: Positive | None = None
    seed: int = Field(default=42, ge=0, lt=2**32)
    base_model: str | None = None
    output_path: str = Field(min_length=1)
    overwrite: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> CombineSpec:
        if self.weights and len(self.weights) != len(self.adapters):
            raise ValueError("export.rule.weights")
        if self.method.startswith(_THINNING) and self.density is None:
            raise ValueError("export.rule.density")
        return self


class ScaleSpec(Spec):
    """The adapter ``factor`` times as strong."""

    verb: ClassVar[str] = "adapters.scale"
    path_fields: ClassVar[tuple[str, ...]] = ("adapter", "base_model", "output_path")

    adapter: str = Field(min_length=1)
    factor: float
    base_model: str | None = None
    output_path: str = Field(min_length=1)
    overwrite: bool = False


class ExtractSpec(Spec):
    """The adapter of ``rank`` that comes nearest to what fine-tuning made of ``base_model``."""

    verb: ClassVar[str] = "adapters.extract"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "base_model", "output_path")

    model: str = Field(min_length=1)
    base_model: str = Field(min_length=1)
    rank: Positive = 16
    output_path: str = Field(min_length=1)
    overwrite: bool = False
