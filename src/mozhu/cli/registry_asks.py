"""What each verb on models asks: of the workspace on this machine, or of the service at ``--server URL``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mozhu.cli.both_ways import Ask
from mozhu.cli.remote import as_view
from mozhu.platform.catalog import service, verbs
from mozhu.platform.catalog.kept import name_of
from mozhu.platform.catalog.reports import demand_report
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.catalog.views import ModelDetail, ModelView, RescanReport, ValidationReport
from mozhu.server.cursors import cursor_after, key_of
from mozhu.specs.registry import (
    AliasSpec,
    CopySpec,
    DeleteSpec,
    EditSpec,
    ListSpec,
    RateSpec,
    ReportSpec,
    ShareSpec,
    SuggestSpec,
)
from mozhu.workspace.places import with_absolute_paths

if TYPE_CHECKING:
    from mozhu.client.client import Client


@dataclass(frozen=True)
class ModelList:
    """``next`` is the cursor of the page that follows."""

    items: list[ModelView]
    next: str | None


def _list_here(root: Path, spec: ListSpec, keep: bool) -> ModelList:
    question = vars(ModelQuery(**spec.question()))
    after = key_of(spec.cursor, question, (str, int))
    page = verbs.registry_page(root, spec, tuple(after) if after else None)
    return ModelList(list(page.items), cursor_after(list(page.next), question) if page.next else None)


def _list_there(client: Client, spec: ListSpec, keep: bool) -> ModelList:
    found: list[ModelView] = []
    limit, cursor = 200 if spec.all else spec.limit, spec.cursor
    while True:
        page = client.models(**spec.question(), limit=limit, cursor=cursor)
        found += [as_view(ModelView, model) for model in page["items"]]
        cursor = page["next"]
        if not spec.all or cursor is None:
            return ModelList(found, cursor)


def _edit_there(client: Client, spec: EditSpec, keep: bool) -> None:
    if fields := spec.of_model():
        client.edit_model(spec.name, **fields)
    if spec.notes is not None:
        client.set_notes(spec.name, spec.notes)
    if spec.tags is not None:
        client.set_tags(spec.name, spec.tags)


def _share_there(client: Client, spec: ShareSpec, keep: bool) -> Any:
    if spec.whom is None:
        return client.shares(spec.name)["items"]
    if spec.revoke:
        return client.remove_share(spec.name, spec.whom)["items"]
    return client.set_share(spec.name, spec.whom, spec.right)["items"]


def _copy_there(client: Client, spec: CopySpec, keep: bool) -> Any:
    copied = client.copy_model(spec.name, spec.to, team=spec.team)
    return sorted(version["reference"] for version in copied["versions"])


def _report_there(client: Client, spec: ReportSpec, keep: bool) -> Any:
    chosen = client.model(spec.name, limit=1)["chosen"]
    of = (chosen["name"], chosen["label"])
    if spec.run is not None:
        told = demand_report(Path(spec.run).expanduser())
        html, metrics = told.page.decode("utf-8", "replace"), dict(told.metrics)
        client.attach_report(*of, html, kind=told.kind, run=told.run, metrics=metrics)
    return client.version_reports(*of, limit=200)["items"]


def _rate_there(client: Client, spec: RateSpec, keep: bool) -> Any:
    if spec.stars is None:
        return client.rating(spec.name)
    return client.rate_model(spec.name, spec.stars, spec.comment)


def _suggest_there(client: Client, spec: SuggestSpec, keep: bool) -> Any:
    advice = client.advice(spec.name)["items"]
    return {"version": client.next_version(name_of(spec.name))["version"], "advice": advice}


def _delete_there(client: Client, spec: DeleteSpec, keep: bool) -> Any:
    return client.delete_model(spec.name, force=spec.force == spec.name, keep=keep)["deleted"]


def _alias_there(client: Client, spec: AliasSpec, keep: bool) -> Any:
    name = name_of(spec.name)
    if spec.alias is None:
        return client.aliases(name)["items"]
    if spec.remove:
        return client.remove_alias(name, spec.alias, force=spec.force, keep=keep)["items"]
    version = client.model(spec.name, limit=1)["chosen"]["label"]
    given: dict[str, Any] = {"protected": spec.protected, "force": spec.force, "keep": keep}
    return client.set_alias(name, spec.alias, version, **given)["items"]


REGISTRY: dict[str, Ask] = {
    "registry.list": Ask(_list_here, _list_there),
    "registry.show": Ask(
        lambda root, spec, keep: service.registry_show(root, spec),
        lambda client, spec, keep: as_view(ModelDetail, client.model(spec.name, limit=spec.limit)),
    ),
    "registry.validate": Ask(
        lambda root, spec, keep: service.registry_validate(root, with_absolute_paths(spec)),
        lambda client, spec, keep: as_view(ValidationReport, client.validate_model(spec.model_path)),
    ),
    "registry.rescan": Ask(
        lambda root, spec, keep: service.registry_rescan(root, spec, keep=keep),
        lambda client, spec, keep: as_view(RescanReport, client.rescan(keep=keep)),
    ),
    "registry.lineage": Ask(
        lambda root, spec, keep: verbs.registry_lineage(root, spec),
        lambda client, spec, keep: client.lineage(spec.name),
    ),
    "registry.edit": Ask(lambda root, spec, keep: verbs.registry_edit(root, spec), _edit_there),
    "registry.share": Ask(lambda root, spec, keep: verbs.registry_share(root, spec), _share_there),
    "registry.copy": Ask(lambda root, spec, keep: verbs.registry_copy(root, spec), _copy_there),
    "registry.report": Ask(
        lambda root, spec, keep: verbs.registry_report(root, with_absolute_paths(spec)), _report_there
    ),
    "registry.rate": Ask(lambda root, spec, keep: verbs.registry_rate(root, spec), _rate_there),
    "registry.suggest": Ask(lambda root, spec, keep: verbs.registry_suggest(root, spec), _suggest_there),
    "registry.delete": Ask(
        lambda root, spec, keep: verbs.registry_delete(root, spec, keep=keep), _delete_there
    ),
    "registry.restore": Ask(
        lambda root, spec, keep: verbs.registry_restore(root, spec, keep=keep),
        lambda client, spec, keep: client.restore_model(spec.name),
        tells=False,
    ),
    "registry.alias": Ask(lambda root, spec, keep: verbs.registry_alias(root, spec, keep=keep), _alias_there),
}
