"""Every request as a method of both clients: one table, two ways of sending."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar, overload

from typing_extensions import ParamSpec

from mozhu.client import calls
from mozhu.client.asking import Ask

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


class Sends(Protocol):
    """A client that waits for the answer."""

    def send(self, ask: Ask[A], /) -> A: ...


class SendsLater(Protocol):
    """A client whose answer is awaited."""

    async def send(self, ask: Ask[A], /) -> A: ...


class Call(Generic[P, T]):
    """A method of a client: makes the request, sends it, gives its answer."""

    def __init__(self, make: Callable[P, Ask[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: SendsLater, owner: type[Any]) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, client: Sends, owner: type[Any]) -> Callable[P, T]: ...
    def __get__(self, client: Any, owner: type[Any]) -> Callable[P, Any]:
        def call(*args: P.args, **given: P.kwargs) -> Any:
            return client.send(self._make(*args, **given))

        return call


class Requests:
    """What a client can ask for."""

    models = Call(calls.models)
    model = Call(calls.model)
    files = Call(calls.files)
    validate_model = Call(calls.validate_model)
    copy_model = Call(calls.copy_model)
    edit_model = Call(calls.edit_model)
    set_notes = Call(calls.set_notes)
    set_tags = Call(calls.set_tags)
    delete_model = Call(calls.delete_model)
    restore_model = Call(calls.restore_model)
    empty_trash = Call(calls.empty_trash)
    aliases = Call(calls.aliases)
    set_alias = Call(calls.set_alias)
    remove_alias = Call(calls.remove_alias)
    shares = Call(calls.shares)
    set_share = Call(calls.set_share)
    remove_share = Call(calls.remove_share)
    rating = Call(calls.rating)
    rate_model = Call(calls.rate_model)
    lineage = Call(calls.lineage)
    advice = Call(calls.advice)
    next_version = Call(calls.next_version)
    statistics = Call(calls.statistics)
    rescan = Call(calls.rescan)
    datasets = Call(calls.datasets)
    dataset = Call(calls.dataset)
    dataset_row = Call(calls.dataset_row)
    validate_dataset = Call(calls.validate_dataset)
    uploads = Call(calls.uploads)
    upload_state = Call(calls.upload_state)
    begin_upload = Call(calls.begin_upload)
    prove_file = Call(calls.prove_file)
    abort_upload = Call(calls.abort_upload)
    copy_dataset = Call(calls.copy_dataset)
    edit_dataset = Call(calls.edit_dataset)
    set_dataset_notes = Call(calls.set_dataset_notes)
    set_dataset_tags = Call(calls.set_dataset_tags)
    delete_dataset = Call(calls.delete_dataset)
    restore_dataset = Call(calls.restore_dataset)
    dataset_shares = Call(calls.dataset_shares)
    set_dataset_share = Call(calls.set_dataset_share)
    remove_dataset_share = Call(calls.remove_dataset_share)
    dataset_aliases = Call(calls.dataset_aliases)
    set_dataset_alias = Call(calls.set_dataset_alias)
    remove_dataset_alias = Call(calls.remove_dataset_alias)
    dataset_rating = Call(calls.dataset_rating)
    rate_dataset = Call(calls.rate_dataset)
    reports = Call(calls.reports)
    version_reports = Call(calls.version_reports)
    attach_report = Call(calls.attach_report)
    remove_report = Call(calls.remove_report)
    events = Call(calls.events)
    webhooks = Call(calls.webhooks)
    webhook = Call(calls.webhook)
    add_webhook = Call(calls.add_webhook)
    remove_webhook = Call(calls.remove_webhook)
    deliveries = Call(calls.deliveries)
    import_version = Call(calls.import_version)
    imports = Call(calls.imports)
    import_state = Call(calls.import_state)
    retry_import = Call(calls.retry_import)
    remove_import = Call(calls.remove_import)
