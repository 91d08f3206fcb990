"""The registry's verbs on models as plain functions of a workspace and a request.

Each answers in the shape that the service answers in, so that a command says the same of both.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.references import parse_reference
from mozhu.platform.catalog.searching import ModelPage, ModelQuery
from mozhu.platform.catalog.views import ModelView
from mozhu.specs.registry import (
    AliasSpec,
    DeleteSpec,
    EditSpec,
    LineageSpec,
    ListSpec,
    RateSpec,
    RestoreSpec,
    ShareSpec,
    SuggestSpec,
)

_PAGE = 200


def registry_page(root: Path, spec: ListSpec, after: tuple[Any, ...] | None = None) -> ModelPage:
    """A page of the models behind the key ``after``; all of them where the request says so."""
    asked = ModelQuery(**spec.question())
    with Models(root) as models:
        if not spec.all:
            return models.page(asked, limit=spec.limit, after=after)
        found: list[ModelView] = []
        while True:
            page = models.page(asked, limit=_PAGE, after=after)
            found += page.items
            after = page.next
            if after is None:
                return ModelPage(tuple(found), None)


def registry_lineage(root: Path, spec: LineageSpec) -> dict[str, Any]:
    """What it came from and what came from it: ``start``, ``nodes``, ``edges``."""
    with Models(root) as models:
        return models.family(spec.name).to_json()


def registry_edit(root: Path, spec: EditSpec) -> None:
    """What is given has changed: first what is of the model, then what is of the version."""
    with Models(root) as models:
        if fields := spec.of_model():
            models.edit(spec.name, **fields)
        if spec.notes is not None:
            models.set_notes(spec.name, spec.notes)
        if spec.tags is not None:
            models.set_tags(spec.name, spec.tags)


def registry_share(root: Path, spec: ShareSpec) -> list[dict[str, Any]]:
    """Who may do what, after the change that was asked for."""
    with Models(root) as models:
        if spec.whom is not None:
            models.share(spec.name, spec.whom, None if spec.revoke else spec.right)
        return [{"subject": whom, "right": right} for whom, right in models.shares(spec.name)]


def registry_rate(root: Path, spec: RateSpec) -> dict[str, Any]:
    """``mean`` and ``count`` of the stars, after one's own."""
    with Models(root) as models:
        if spec.stars is not None:
            models.rate(spec.name, spec.stars, spec.comment)
        mean, count = models.rating(spec.name)
        return {"mean": mean, "count": count}


def registry_suggest(root: Path, spec: SuggestSpec) -> dict[str, Any]:
    """``version``: the name of the next one; ``advice``: what the naming rules say of this one."""
    with Models(root) as models:
        advice = [each.to_json() for each in models.advice(spec.name)]
        return {"version": models.suggest(model_of(spec.name)), "advice": advice}


def registry_delete(root: Path, spec: DeleteSpec, *, keep: bool = True) -> list[str]:
    """The references that are in the trash now, or would be."""
    with Models(root) as models:
        return list(models.delete(spec.name, force=spec.force, keep=keep))


def registry_restore(root: Path, spec: RestoreSpec, *, keep: bool = True) -> None:
    with Models(root) as models:
        models.restore(spec.name, keep=keep)


def registry_alias(root: Path, spec: AliasSpec, *, keep: bool = True) -> list[dict[str, Any]]:
    """The aliases of the model, after the change that was asked for."""
    name = model_of(spec.name)
    with Models(root) as models:
        if spec.alias is None:
            there = models.aliases(name)
        elif spec.remove:
            there = models.remove_alias(name, spec.alias, force=spec.force, keep=keep)
        else:
            given: dict[str, Any] = {"protected": spec.protected, "force": spec.force, "keep": keep}
            there = models.set_alias(spec.name, spec.alias, **given)
        return [asdict(alias) for alias in there]


def model_of(reference: str) -> str:
    """``name`` of ``name:v2`` or ``name@best``."""
    parsed = parse_reference(reference)
    return parsed.name if parsed else reference
