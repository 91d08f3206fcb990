"""What each verb on models asks: of the workspace on this machine, or of the service at ``--server URL``.

One table: a verb's request becomes the same answer on both ways, so that a command needs to know neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mozhu.cli.command import Call
from mozhu.cli.remote import as_view, client_for, refuse_remote, server_of
from mozhu.platform.catalog import service, verbs
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.catalog.verbs import model_of
from mozhu.platform.catalog.views import ModelDetail, ModelView, RescanReport, ValidationReport
from mozhu.server.cursors import cursor_after, key_of
from mozhu.specs.registry import AliasSpec, DeleteSpec, EditSpec, ListSpec, RateSpec, ShareSpec, SuggestSpec
from mozhu.workspace.places import with_absolute_paths

if TYPE_CHECKING:
    from mozhu.client.client import Client


@dataclass(frozen=True)
class ModelList:
    """``next`` is the cursor of the page that follows."""

    items: list[ModelView]
    next: str | None


@dataclass(frozen=True)
class Ask:
    """``keep`` False only tells what would change; ``tells`` says whether a service can be asked that."""

    here: Callable[[Path, Any, bool], Any]
    there: Callable[[Client, Any, bool], Any]
    tells: bool = True


def answer(call: Call, *, keep: bool | None = None) -> Any:
    """What the verb of ``call`` answers; ``keep`` in place of what ``--dry_run`` says.

    Raises:
        NotRemote: API-022, a service cannot be asked what would change. What the verb raises, here as there.
    """
    ask = _ASKS[call.spec.verb]
    kept = not call.dry_run if keep is None else keep
    if server_of(call) is None:
        return ask.here(call.home.root, call.spec, kept)
    if not kept and not ask.tells:
        refuse_remote(call, call.spec.verb.replace(".", " ") + " --dry_run")
    with client_for(call) as client:
        return ask.there(client, call.spec, kept)


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


def _rate_there(client: Client, spec: RateSpec, keep: bool) -> Any:
    if spec.stars is None:
        return client.rating(spec.name)
    return client.rate_model(spec.name, spec.stars, spec.comment)


def _suggest_there(client: Client, spec: SuggestSpec, keep: bool) -> Any:
    advice = client.advice(spec.name)["items"]
    return {"version": client.next_version(model_of(spec.name))["version"], "advice": advice}


def _delete_there(client: Client, spec: DeleteSpec, keep: bool) -> Any:
    return client.delete_model(spec.name, force=spec.force == spec.name, keep=keep)["deleted"]


def _alias_there(client: Client, spec: AliasSpec, keep: bool) -> Any:
    name = model_of(spec.name)
    if spec.alias is None:
        return client.aliases(name)["items"]
    if spec.remove:
        return client.remove_alias(name, spec.alias, force=spec.force, keep=keep)["items"]
    version = client.model(spec.name, limit=1)["chosen"]["label"]
    given: dict[str, Any] = {"protected": spec.protected, "force": spec.force, "keep": keep}
    return client.set_alias(name, spec.alias, version, **given)["items"]


_ASKS: dict[str, Ask] = {
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
