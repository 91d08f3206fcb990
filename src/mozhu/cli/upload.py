"""``mozhu upload PATH --server URL``: files to a service, where they become a version; again, it goes on."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.remote import client_for, server_of
from mozhu.cli.sending import Sending, place_of
from mozhu.kernel.errors import NoServerNamed
from mozhu.specs.uploads import UploadSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    server = server_of(call)
    if server is None:
        raise NoServerNamed(verb="upload", path=call.spec.path)
    return send(call, with_absolute_paths(call.spec), server)


def send(call: Call, spec: UploadSpec, server: str) -> int:
    """What ``spec`` names is a version at ``server``, or its failure is said; the exit code tells which."""
    sending = Sending(call, spec, server, place_of(Path(spec.path).absolute()))
    if call.dry_run:
        return sending.would()
    with client_for(call) as client:
        return sending.run(client)


COMMAND = Command(
    "upload",
    act,
    UploadSpec,
    switches=("dry_run", "quiet"),
    words=1,
    first_word="path",
    usage="PATH",
)
