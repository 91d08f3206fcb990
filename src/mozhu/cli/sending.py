"""Sending files to a service as a version of a model: the line of progress, the import, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mozhu.cli.command import Call
from mozhu.display.transfer import Transfer
from mozhu.kernel import slots
from mozhu.kernel.errors import DataError, StateError, UploadPaused
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.artefacts import RUN_SPEC, find_artefact, kind_of
from mozhu.specs.uploads import UploadSpec
from mozhu.specs.wire.imports import FindingWire, ImportWire
from mozhu.specs.wire.uploads import UploadWire

if TYPE_CHECKING:
    from mozhu.client.client import Client
    from mozhu.client.upload_progress import UploadProgress
    from mozhu.client.uploads import Uploaded

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 2.0
_SHOWN = 10


def place_of(path: Path) -> Path:
    """What is sent of ``path``: of a run its first artefact, else all of it.

    Raises:
        RunWithoutArtefact: REG-009.
    """
    if path.is_dir() and (path / RUN_SPEC).is_file() and kind_of(path) is None:
        return find_artefact(path).path
    return path


class Sending:
    """One command's way from files here to a version there."""

    def __init__(self, call: Call, spec: UploadSpec, server: str, place: Path) -> None:
        self._call, self._spec, self._server, self._place = call, spec, server, place
        path = Path(spec.path)
        self._name = spec.name or (path.stem if path.is_file() else path.absolute().name)
        self._lines = Lines(quiet=call.quiet, say=self._say)
        self._import: ImportWire | None = None

    def would(self) -> int:
        """Which files would go where; nothing is asked of the service."""
        chosen = slots.load("mozhu.rooms", "choose_files")(self._place)
        value = {
            "server": self._server,
            "name": self._name,
            "size_bytes": chosen.size_bytes,
            "files": [{"path": file.path, "size": file.size} for file in chosen.files],
            "left_out": list(chosen.left_out),
        }
        listed = "\n".join(f"  {human_size(file.size):>10}  {file.path}" for file in chosen.files)
        facts = {"server": self._server, "name": self._name, "files": listed}
        words = text("uploads.would", count=len(chosen.files), size=human_size(chosen.size_bytes), **facts)
        self._call.output.data(value, words)
        self._tell_left_out(chosen.left_out)
        return 0

    def run(self, client: Client) -> int:
        """The exit code: 0 for ready (or, without waiting, arrived), 3 for failed, 5 where it waits for something.

        Raises:
            UploadPaused: UPLOAD-013, after Ctrl-C.
        """
        try:
            done = client.upload(
                self._place,
                team=self._spec.team,
                purpose={"name": self._name},
                threads=self._spec.threads,
                on_begun=lambda upload: self._begin(client, upload),
                on_progress=self._lines,
            )
        except KeyboardInterrupt:
            raise self._lines.paused() from None
        finally:
            self._lines.close()
        self._tell_left_out(done.left_out)
        if done.known_bytes:
            self._say(text("uploads.known", size=human_size(done.known_bytes)))
        return self._ended(done, self._followed(client))

    def _begin(self, client: Client, upload: UploadWire) -> None:
        """The version's name is taken before the first byte is sent: what cannot be is said at once."""
        mine = (
            one
            for one in client.imports(state="uploading", limit=200)["items"]
            if one["upload"] == upload["id"]
        )
        self._import = next(mine, None) or client.import_version(self._name, upload["id"], **self._wishes())
        known = sum(file["size"] for file in upload["files"] if file["need"] == "known")
        if upload["received_bytes"] > known:
            self._say(text("uploads.resumed", size=human_size(upload["received_bytes"] - known)))

    def _wishes(self) -> dict[str, Any]:
        spec = self._spec
        wishes = {
            "version": spec.version,
            "type": spec.type,
            "description": spec.description,
            "tags": list(spec.tags),
            "licence": spec.licence,
            "base": spec.base,
            "notes": spec.notes,
            "team": spec.team,
            "visibility": spec.visibility,
        }
        return {name: value for name, value in wishes.items() if value}

    def _followed(self, client: Client) -> ImportWire:
        """The import when it has ended or waits; without ``wait`` as it is now."""
        assert self._import is not None
        wait_s, before = _FIRST_WAIT_S, ""
        while True:
            made = client.import_state(self._import["id"])
            if made["state"] in ("ready", "failed") or made["waits"] or not self._spec.wait:
                return made
            if made["state"] != before and made["state"] == "checking":
                self._say(text("uploads.state.checking", reference=made["reference"]))
            before = made["state"]
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)

    def _ended(self, done: Uploaded, made: ImportWire) -> int:
        sizes = {
            "size": human_size(done.upload["size_bytes"]),
            "sent": human_size(done.sent_bytes),
            "known": human_size(done.known_bytes),
        }
        state = "waits" if made["waits"] else made["state"]
        is_over = state in ("waits", "ready", "failed")
        head = f"uploads.state.{state}" if is_over else "uploads.registered"
        words = text(head, reference=made["reference"], name=made["model"], server=self._server, **sizes)
        lines = [words, *map(finding_line, made["findings"])] if is_over else [words]
        value = {
            "import": made,
            "upload": done.upload["id"],
            "size_bytes": done.upload["size_bytes"],
            "sent_bytes": done.sent_bytes,
            "known_bytes": done.known_bytes,
            "resumed": done.resumed,
            "left_out": list(done.left_out),
        }
        self._call.output.data(value, "\n".join(lines))
        for item in made["advice"]:
            self._say(f"{text('registry.level.warning')}: {item['words']}")
        return {"failed": DataError.exit_code, "waits": StateError.exit_code}.get(state, 0)

    def _tell_left_out(self, paths: tuple[str, ...]) -> None:
        if paths:
            shown = ", ".join(paths[:_SHOWN]) + (" …" if len(paths) > _SHOWN else "")
            self._say(text("uploads.left_out", paths=shown))

    def _say(self, words: str) -> None:
        self._lines.close()
        if not self._call.quiet:
            self._call.output.say(words)


class Lines:
    """An upload's progress: one line for what is read, one for what is sent."""

    def __init__(self, *, quiet: bool, say: Callable[[str], None]) -> None:
        self._quiet, self._say = quiet, say
        self._stage, self._line = "", Transfer(quiet=True)
        self._sent: tuple[int, int] = (0, 0)

    def __call__(self, progress: UploadProgress) -> None:
        if progress.stage != self._stage:
            self.close()
            self._stage = progress.stage
            if progress.stage == "checking":
                self._say(text("uploads.checking"))
            else:
                self._line = Transfer(quiet=self._quiet, words=f"uploads.{progress.stage}")
        if progress.stage == "sending":
            self._sent = (progress.done, progress.total)
        if progress.stage != "checking" and progress.total:
            self._line(progress.done, progress.total, progress.path)

    def paused(self) -> UploadPaused:
        done, total = self._sent
        return UploadPaused(done=human_size(done), total=human_size(total))

    def close(self) -> None:
        self._line.close()
        self._line = Transfer(quiet=True)


def finding_line(finding: FindingWire) -> str:
    return f"  {text('registry.level.' + finding['level'])} {finding['code']}: {finding['message']}"
