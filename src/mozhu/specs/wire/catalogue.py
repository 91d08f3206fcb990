"""What is done with models on the wire: edited, shared, rated, named by aliases, deleted, traced."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

RightName = Literal["read", "use", "write", "manage"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelEdit(_Body):
    """What is to change; what is left out stays. `visibility` needs the right to manage."""

    type: Literal["text", "image", "file"] | None = None
    description: str | None = Field(default=None, max_length=20_000)
    licence: str | None = Field(default=None, max_length=200)
    visibility: Literal["private", "team", "everyone"] | None = None
    base_reference: str | None = Field(default=None, max_length=500)


class NotesEdit(_Body):
    """The note of one version."""

    notes: str = Field(max_length=20_000)


class TagsEdit(_Body):
    """The tags of one version."""

    tags: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(max_length=100)


class NewAlias(_Body):
    """`version` is a label such as `v2`; a protected alias moves only with `force`."""

    version: str = Field(min_length=1, max_length=200)
    protected: bool | None = None
    force: bool = False


class NewShare(_Body):
    """What a user or a team may do; each right includes those before it."""

    right: RightName


class NewCopy(_Body):
    """`name` is the copy's; `team`, one of the caller's, may use it. Without one it is private."""

    name: str = Field(min_length=1, max_length=200)
    team: str | None = Field(default=None, min_length=1, max_length=200)


class NewRating(_Body):
    stars: int = Field(ge=1, le=5)
    comment: str = Field(default="", max_length=2000)


class AliasWire(TypedDict):
    name: str
    reference: str
    protected: bool


class AliasesList(TypedDict):
    items: list[AliasWire]


class ShareWire(TypedDict):
    """`subject` is `user:NAME` or `team:NAME`."""

    subject: str
    right: RightName


class SharesList(TypedDict):
    items: list[ShareWire]


class RatingWire(TypedDict):
    """`mean` is null while nobody has rated."""

    mean: float | None
    count: int


class DeletedWire(TypedDict):
    """References that went into the trash, or out of it for good; with `keep=false` those that would."""

    deleted: list[str]


class StatisticsWire(TypedDict):
    """The statistics cards; the trash is not counted but in `trashed`."""

    models: int
    versions: int
    size_bytes: int
    by_type: dict[str, int]
    trashed: int


class NodeWire(TypedDict):
    """`hidden` stands for everything that the caller may not read; its `reference` is empty."""

    kind: str
    reference: str


class EdgeWire(TypedDict):
    """`target` came from `source`, which played the part `relation`."""

    source: NodeWire
    target: NodeWire
    relation: str


class FamilyWire(TypedDict):
    start: NodeWire
    nodes: list[NodeWire]
    edges: list[EdgeWire]


class AdviceWire(TypedDict):
    """`code` names the rule that is not followed, `suggestion` what would follow it."""

    code: str
    value: str
    suggestion: str
    words: str


class AdviceList(TypedDict):
    items: list[AdviceWire]


class NextVersionWire(TypedDict):
    version: str
