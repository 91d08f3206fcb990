"""The registry's verbs on models as plain functions of a workspace and a request.

Each answers in the shape that the service answers in, so that a command says the same of both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.platform.catalog import kept
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.reports import Reports, demand_report
from mozhu.platform.catalog.searching import ModelPage, ModelQuery
from mozhu.platform.catalog.views import ModelView
from mozhu.specs.registry import (
    AliasSpec,
    CopySpec,
    DeleteSpec,
    EditSpec,
    LineageSpec,
    ListSpec,
    RateSpec,
    ReportSpec,
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
    """What is given has changed."""
    with Models(root) as models:
        kept.edit(models, spec.name, spec.of_model(), spec.notes, spec.tags)


def registry_share(root: Path, spec: ShareSpec) -> list[dict[str, Any]]:
    """Who may do what, after the change that was asked for."""
    with Models(root) as models:
        return kept.share(models, spec.name, spec.whom, None if spec.revoke else spec.right)


def registry_copy(root: Path, spec: CopySpec) -> list[str]:
    """The references of the copies."""
    with Models(root) as models:
        return list(models.copy(spec.name, spec.to, team=spec.team))


def registry_report(root: Path, spec: ReportSpec) -> list[dict[str, Any]]:
    """The reports of the version, after that of the run was attached where one is given."""
    with Reports(root) as reports:
        if spec.run is not None:
            reports.attach(spec.name, demand_report(Path(spec.run).expanduser()))
        return [report.to_json() for report in reports.page(of=spec.name, limit=_PAGE).items]


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
        return {"version": models.suggest(kept.name_of(spec.name)), "advice": advice}


def registry_delete(root: Path, spec: DeleteSpec, *, keep: bool = True) -> list[str]:
    """The references that are in the trash now, or would be."""
    with Models(root) as models:
        return list(models.delete(spec.name, force=spec.force, keep=keep))


def registry_restore(root: Path, spec: RestoreSpec, *, keep: bool = True) -> None:
    with Models(root) as models:
        models.restore(spec.name, keep=keep)


def registry_alias(root: Path, spec: AliasSpec, *, keep: bool = True) -> list[dict[str, Any]]:
    """The aliases of the model, after the change that was asked for."""
    given: dict[str, Any] = {"remove": spec.remove, "force": spec.force, "protected": spec.protected}
    with Models(root) as models:
        return kept.alias(models, spec.name, spec.alias, **given, keep=keep)
