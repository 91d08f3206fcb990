"""What every record file shares: a schema number, validated when read and when written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mozhu.kernel.errors import DamagedRecord
from mozhu.kernel.files import read_json, write_json

SHA256 = r"^sha256:[0-9a-f]{64}$"
Number = float | int | Literal["nan", "inf", "-inf"]
R = TypeVar("R", bound="Record")
M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], value: Any, place: str) -> M:
    """``value`` as a ``model``.

    Raises:
        DamagedRecord: FILE-006, naming ``place`` and every wrong field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fields = sorted({".".join(map(str, item["loc"])) or "." for item in error.errors()})
        raise DamagedRecord(path=place, record=model.__name__, fields=fields) from error


class Record(BaseModel):
    """``schema`` is 1; later versions add fields and never rename them, so unknown fields are kept, not refused."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=())

    schema_: Literal[1] = Field(default=1, alias="schema")

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    def write(self, path: Path) -> None:
        """Write the record in one atomic step."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls: type[R], path: Path) -> R:
        """The record in ``path``.

        Raises:
            MissingFile: FILE-001. BadJson: FILE-004. DamagedRecord: FILE-006, naming every wrong field.
        """
        return validated(cls, read_json(path), str(path))
