"""An installation whose uploads become versions, its runs carried out in this process; and what is handed in."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mozhu.app import Composition, compose
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.imports.views import ImportView, Wanted
from mozhu.specs.service import ServiceSpec
from mozhu.specs.uploads import NewFile, parts_of
from mozhu.testing.inline_runs import InlineExecutor


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def files_below(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def tokenizer_files() -> dict[str, bytes]:
    template = {"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"}
    return {"tokenizer.json": b'{"version": "1.0"}', "tokenizer_config.json": json.dumps(template).encode()}


class Installation:
    """``root`` is the workspace; ``executor`` may be another one."""

    def __init__(self, root: Path, executor: Any = None, **settings: Any) -> None:
        self.root = root
        self.executor = executor or InlineExecutor()
        self.services: Composition = compose(
            root, ServiceSpec(allowed_hosts=("testserver",), **settings), executor=self.executor
        )

    def upload(
        self, files: Mapping[str, bytes], *, subject: Subject = LOCAL_ADMIN, complete: bool = True
    ) -> str:
        uploads = self.services.uploads
        wanted = [NewFile(path=path, size=len(content)) for path, content in files.items()]
        view = uploads.create(subject, wanted)
        contents = list(files.values())
        for part in parts_of([len(content) for content in contents], view.part_size):
            piece = contents[part.file][part.offset : part.offset + part.size]
            uploads.put_part(subject, view.id, part.number, digest(piece), [piece])
        if complete:
            uploads.complete(subject, view.id)
        return view.id

    def begin(
        self, name: str, files: Mapping[str, bytes], *, subject: Subject = LOCAL_ADMIN, **wishes: Any
    ) -> ImportView:
        upload = self.upload(files, subject=subject)
        return self.services.imports.create(subject, name, Wanted(upload, **wishes))

    def follow(self, item: ImportView, rounds: int = 6) -> ImportView:
        """The import when it has ended, or waits."""
        for _ in range(rounds):
            self.services.imports.advance()
            found = self.state(item)
            if found.state in ("ready", "failed") or found.waits:
                return found
        raise AssertionError(f"still {found.state}: {found.findings}")

    def taken(self, name: str, files: Mapping[str, bytes], **wishes: Any) -> ImportView:
        return self.follow(self.begin(name, files, **wishes))

    def state(self, item: ImportView) -> ImportView:
        return self.services.imports.show(LOCAL_ADMIN, item.id)

    def runs(self) -> list[str]:
        """The run folders that are left."""
        output = self.root / "6_output"
        return sorted(path.name for path in output.iterdir()) if output.is_dir() else []

    def codes(self, item: ImportView) -> set[str]:
        return {finding["code"] for finding in item.findings}

    def happened(self, item: ImportView) -> list[str]:
        events = self.services.registry.events_after(0, 500)
        return [event["what"] for event in events if event["details"].get("import") == item.id]

    def close(self) -> None:
        self.services.close()


Make = Callable[..., Installation]
