"""A version's files from a service: ``mozhu download NAME:VERSION --server URL``."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call
from mozhu.cli.remote import client_for, server_of
from mozhu.display.transfer import Transfer
from mozhu.kernel import slots
from mozhu.kernel.files import folder_bytes, human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.references import parse_reference
from mozhu.specs.wire.files import FileWire


def is_at_service(call: Call) -> bool:
    """A service is named, and the word has the form of a registry reference: hub ids have a slash."""
    return (
        server_of(call) is not None and call.spec.hub is None and parse_reference(call.spec.model) is not None
    )


def from_service(call: Call) -> int:
    """The version's files in ``--output_dir``, else in a folder of its name; again, it goes on where it broke."""
    spec = call.spec
    folder = Path(spec.output_dir or spec.model.replace(":", "-").replace("@", "-")).expanduser().absolute()
    if call.dry_run:
        with client_for(call) as client:
            listed = client.files(spec.model)
        call.output.data({**listed, "output_dir": str(folder)}, "\n".join(_lines(listed["items"])))
        return 0
    progress = Transfer(quiet=call.quiet)
    with client_for(call) as client:
        fetch = slots.load("mozhu.rooms", "download_version")
        reference = fetch(client, spec.model, folder, on_progress=progress)
    progress.close()
    size = folder_bytes(folder)
    words = text("up.downloaded", reference=reference, path=folder, size=human_size(size))
    call.output.data({"reference": reference, "output_dir": str(folder), "size_bytes": size}, words)
    return 0


def _lines(items: list[FileWire]) -> list[str]:
    return [f"{file['sha256']}  {human_size(file['size']):>10}  {file['path']}" for file in items]
