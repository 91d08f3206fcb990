"""What each verb on data sets asks: of the workspace on this machine, or of the service at ``--server URL``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mozhu.cli.both_ways import Ask
from mozhu.cli.remote import as_view
from mozhu.platform.catalog.datasets import service, verbs
from mozhu.platform.catalog.datasets.views import DatasetDetail, DatasetReport, DatasetRow, DatasetView
from mozhu.platform.catalog.kept import name_of
from mozhu.server.cursors import cursor_after, key_of
from mozhu.specs.datasets import (
    DatasetAliasSpec,
    DatasetCopySpec,
    DatasetDeleteSpec,
    DatasetEditSpec,
    DatasetListSpec,
    DatasetShareSpec,
    DatasetShowSpec,
)
from mozhu.workspace.places import with_absolute_paths

if TYPE_CHECKING:
    from mozhu.client.client import Client


@dataclass(frozen=True)
class DatasetList:
    """``next`` is the cursor of the page that follows."""

    items: list[DatasetView]
    next: str | None


def _list_here(root: Path, spec: DatasetListSpec, keep: bool) -> DatasetList:
    question = vars(verbs.query_of(spec))
    after = key_of(spec.cursor, question, (str, int))
    page = verbs.datasets_page(root, spec, tuple(after) if after else None)
    return DatasetList(list(page.items), cursor_after(list(page.next), question) if page.next else None)


def _list_there(client: Client, spec: DatasetListSpec, keep: bool) -> DatasetList:
    found: list[DatasetView] = []
    limit, cursor = 200 if spec.all else spec.limit, spec.cursor
    while True:
        page = client.datasets(**spec.question(), limit=limit, cursor=cursor)
        found += [as_view(DatasetView, dataset) for dataset in page["items"]]
        cursor = page["next"]
        if not spec.all or cursor is None:
            return DatasetList(found, cursor)


def _show_here(root: Path, spec: DatasetShowSpec, keep: bool) -> DatasetDetail | DatasetRow:
    if spec.row is not None:
        return service.datasets_row(root, spec.name, spec.row)
    return service.datasets_show(root, spec)


def _show_there(client: Client, spec: DatasetShowSpec, keep: bool) -> DatasetDetail | DatasetRow:
    if spec.row is not None:
        return as_view(DatasetRow, client.dataset_row(spec.name, spec.row))
    return as_view(DatasetDetail, client.dataset(spec.name))


def _edit_there(client: Client, spec: DatasetEditSpec, keep: bool) -> None:
    if fields := spec.of_dataset():
        client.edit_dataset(spec.name, **fields)
    if spec.notes is not None:
        client.set_dataset_notes(spec.name, spec.notes)
    if spec.tags is not None:
        client.set_dataset_tags(spec.name, spec.tags)


def _share_there(client: Client, spec: DatasetShareSpec, keep: bool) -> Any:
    if spec.whom is None:
        return client.dataset_shares(spec.name)["items"]
    if spec.revoke:
        return client.remove_dataset_share(spec.name, spec.whom)["items"]
    return client.set_dataset_share(spec.name, spec.whom, spec.right)["items"]


def _delete_there(client: Client, spec: DatasetDeleteSpec, keep: bool) -> Any:
    return client.delete_dataset(spec.name, force=spec.force == spec.name, keep=keep)["deleted"]


def _alias_there(client: Client, spec: DatasetAliasSpec, keep: bool) -> Any:
    name = name_of(spec.name)
    if spec.alias is None:
        return client.dataset_aliases(name)["items"]
    if spec.remove:
        return client.remove_dataset_alias(name, spec.alias, force=spec.force, keep=keep)["items"]
    version = client.dataset(spec.name)["chosen"]["label"]
    given: dict[str, Any] = {"protected": spec.protected, "force": spec.force, "keep": keep}
    return client.set_dataset_alias(name, spec.alias, version, **given)["items"]


def _copy_there(client: Client, spec: DatasetCopySpec, keep: bool) -> Any:
    copied = client.copy_dataset(spec.name, spec.to, team=spec.team)
    return sorted(version["reference"] for version in copied["versions"])


DATASETS: dict[str, Ask] = {
    "datasets.list": Ask(_list_here, _list_there),
    "datasets.show": Ask(_show_here, _show_there),
    "datasets.validate": Ask(
        lambda root, spec, keep: service.datasets_validate(root, with_absolute_paths(spec)),
        lambda client, spec, keep: as_view(DatasetReport, client.validate_dataset(spec.path)),
    ),
    "datasets.edit": Ask(lambda root, spec, keep: verbs.datasets_edit(root, spec), _edit_there),
    "datasets.share": Ask(lambda root, spec, keep: verbs.datasets_share(root, spec), _share_there),
    "datasets.copy": Ask(lambda root, spec, keep: verbs.datasets_copy(root, spec), _copy_there),
    "datasets.delete": Ask(
        lambda root, spec, keep: verbs.datasets_delete(root, spec, keep=keep), _delete_there
    ),
    "datasets.restore": Ask(
        lambda root, spec, keep: verbs.datasets_restore(root, spec, keep=keep),
        lambda client, spec, keep: client.restore_dataset(spec.name),
        tells=False,
    ),
    "datasets.alias": Ask(lambda root, spec, keep: verbs.datasets_alias(root, spec, keep=keep), _alias_there),
}
