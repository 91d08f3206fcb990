"""One table of the verbs that are asked here or of a service, so that a command needs to know neither way."""

from __future__ import annotations

from typing import Any

from mozhu.cli.command import Call
from mozhu.cli.datasets_asks import DATASETS
from mozhu.cli.registry_asks import REGISTRY
from mozhu.cli.remote import client_for, refuse_remote, server_of

_ASKS = {**REGISTRY, **DATASETS}


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


def group_of(call: Call) -> str:
    """``registry`` of ``mozhu registry delete``, ``datasets`` of ``mozhu datasets delete``."""
    return str(call.spec.verb.partition(".")[0])
