"""What is done with models and data sets alike, in the shapes that the service answers in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mozhu.platform.accounts.subject import Right
from mozhu.platform.catalog.assets import Assets
from mozhu.platform.catalog.references import parse_reference


def edit(
    assets: Assets, name: str, fields: dict[str, Any], notes: str | None, tags: Sequence[str] | None
) -> None:
    """What is given has changed: first what is of the whole, then what is of the version."""
    if fields:
        assets.edit(name, **fields)
    if notes is not None:
        assets.set_notes(name, notes)
    if tags is not None:
        assets.set_tags(name, tags)


def share(assets: Assets, name: str, whom: str | None, right: Right | None) -> list[dict[str, Any]]:
    """Who may do what, after the change that was asked for: ``whom`` has ``right``, or none."""
    if whom is not None:
        assets.share(name, whom, right)
    return [{"subject": subject, "right": held} for subject, held in assets.shares(name)]


def alias(
    assets: Assets,
    reference: str,
    name: str | None,
    *,
    remove: bool,
    force: bool,
    protected: bool | None,
    keep: bool,
) -> list[dict[str, Any]]:
    """The aliases there are, after the change that was asked for."""
    whole = name_of(reference)
    if name is None:
        there = assets.aliases(whole)
    elif remove:
        there = assets.remove_alias(whole, name, force=force, keep=keep)
    else:
        there = assets.set_alias(reference, name, protected=protected, force=force, keep=keep)
    return [asdict(each) for each in there]


def name_of(reference: str) -> str:
    """``name`` of ``name:v2`` or ``name@best``."""
    parsed = parse_reference(reference)
    return parsed.name if parsed else reference
