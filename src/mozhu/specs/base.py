"""What every spec shares: frozen, no unknown fields, one text per field in the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# The mark of a field whose values are paths: flags give them one by one.
ARE_PATHS = "paths"


def _written(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def split_words(value: Any) -> Any:
    """A comma- or blank-separated string as a list: flags and environment variables give strings."""
    if isinstance(value, str):
        return [part for part in value.replace(",", " ").split() if part]
    return value


def _paths(value: Any) -> Any:
    """One path, or several with commas between: a blank is part of a path."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, Path) else value


Words = Annotated[tuple[str, ...], BeforeValidator(split_words)]
# Paths may hold blanks, so that only commas part them; a list is taken as it is, commas and all.
Paths = Annotated[tuple[Annotated[str, BeforeValidator(_written)], ...], BeforeValidator(_paths), ARE_PATHS]
_Code = Annotated[str, Field(pattern=r"^[A-Z]+-\d{3}$")]
# Findings named by their codes, such as DATA-262.
FindingCodes = Annotated[tuple[_Code, ...], BeforeValidator(split_words)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Spec(BaseModel):
    """A typed request. ``verb`` names its command; ``config_file`` is the workspace file read as a layer."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)
    verb: ClassVar[str] = ""
    config_file: ClassVar[str | None] = None
    has_presets: ClassVar[bool] = False
    # Fields that do not change what a run makes: they may differ when the same run is started again.
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset()
    # Where one value is a path that is resolved against the folder the user stands in.
    path_fields: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def work(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """What two requests of the same run have in common: ``fields`` without those that only say how it is done."""
        return {name: value for name, value in fields.items() if name not in cls.not_part_of_the_run}


class RemoteSpec(Spec):
    """Asked of the workspace on this machine, or of the service at ``server``."""

    server: str | None = Field(default=None, pattern=r"^https?://\S+$")
