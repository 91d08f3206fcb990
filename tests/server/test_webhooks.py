"""What happens reaches whoever asked for it: signed, again until it is taken, and never inside by accident."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from registry_artefacts import write_adapter
from running import Running

from mozhu.kernel.errors import ForbiddenAddress
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog.events import known_events
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.service import Registry
from mozhu.platform.webhooks.sending import check_url, signature
from mozhu.platform.webhooks.service import WAITS_S, Webhooks


class Listener:
    """A program that takes webhooks; ``answers`` are the statuses of its next answers, then 204."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.taken.append((dict(self.headers), body))
                status = listener.answers.pop(0) if listener.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", listener.url + "elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *given: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def registry(workspace: Path) -> Iterator[Registry]:
    with Registry(workspace) as opened:
        yield opened


@pytest.fixture
def hooks(registry: Registry) -> Any:
    """Webhooks under a clock that stands still until it is moved: ``hooks.now[0]``."""
    now = [datetime(2026, 11, 28, 12, tzinfo=timezone.utc)]
    made = Webhooks(registry._opened(), known_events(), private=True, clock=lambda: now[0])
    made.now = now  # type: ignore[attr-defined]
    return made


def test_an_event_is_sent_signed_and_is_in_the_history(
    start: Callable[..., Running], listener: Listener, tmp_path: Path
) -> None:
    service = start(webhook_private_addresses=True)
    made = service.post("/api/v1/webhooks", json={"url": listener.url, "events": ["version.registered"]})
    hook = made.json()
    service.composition.registry.register(write_adapter(tmp_path / "a", seed=1), name="first")
    deadline = threading.Event()
    for _ in range(300):
        page = service.get(f"/api/v1/webhooks/{hook['id']}/deliveries").json()["items"]
        if page and page[0]["state"] == "delivered":
            break
        deadline.wait(0.1)
    assert [line["what"] for line in page] == ["version.registered"] and page[0]["status"] == 204
    headers, body = listener.taken[0]
    assert json.loads(body)["model"] == "first"
    time = int(headers["Mozhu-Signature"].split(",")[0].removeprefix("t="))
    assert headers["Mozhu-Signature"] == signature(hook["secret"], time, body)
    assert service.get("/api/v1/webhooks").json()["items"][0]["secret"] is None
    assert service.http.delete(f"/api/v1/webhooks/{hook['id']}").status_code == 204
    assert service.get(f"/api/v1/webhooks/{hook['id']}").json()["code"] == "HOOK-001"


def test_what_is_not_taken_is_sent_again_later_and_later(
    registry: Registry, hooks: Any, listener: Listener, tmp_path: Path
) -> None:
    hook = hooks.add(LOCAL_ADMIN, listener.url, ["version.registered"])
    listener.answers = [500, 302]
    registry.register(write_adapter(tmp_path / "a", seed=1), name="first")
    assert hooks.deliver() == 1 and hooks.deliver() == 0
    hooks.now[0] += timedelta(seconds=WAITS_S[0] + 1)
    assert hooks.deliver() == 1
    line = hooks.history(LOCAL_ADMIN, hook.id)[0]
    assert (line.state, line.attempts, line.status) == ("waiting", 2, 302)
    hooks.now[0] += timedelta(seconds=WAITS_S[1] + 1)
    assert hooks.deliver() == 1
    line = hooks.history(LOCAL_ADMIN, hook.id)[0]
    assert (line.state, line.attempts, line.status) == ("delivered", 3, 204)
    assert len({body for _, body in listener.taken}) == 1, "a redirection was followed"


def test_a_listener_that_never_answers_fails_in_the_end(
    registry: Registry, hooks: Any, tmp_path: Path
) -> None:
    hook = hooks.add(LOCAL_ADMIN, "http://127.0.0.1:1/", ["version.registered"])
    registry.register(write_adapter(tmp_path / "a", seed=1), name="first")
    for wait in (*WAITS_S, 0):
        assert hooks.deliver() == 1
        hooks.now[0] += timedelta(seconds=wait + 1)
    line = hooks.history(LOCAL_ADMIN, hook.id)[0]
    assert line.state == "failed" and line.attempts == len(WAITS_S) + 1 and line.reason
    assert hooks.deliver() == 0


def test_a_delivery_outlives_the_process_that_took_it(
    registry: Registry, hooks: Any, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.add(LOCAL_ADMIN, listener.url, ["version.registered"])
    registry.register(write_adapter(tmp_path / "a", seed=1), name="first")

    class Killed(BaseException):
        pass

    def killed(due: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(hooks, "_sent", killed)
        hooks.deliver()
    assert hooks.deliver() == 0, "it is still with the process that died"
    hooks.now[0] += timedelta(seconds=61)
    assert hooks.deliver() == 1 and len(listener.taken) == 1


def test_webhooks_are_their_owner_s(hooks: Any, listener: Listener) -> None:
    ann, ben = Subject("ann", (), False), Subject("ben", (), False)
    hook = hooks.add(ann, listener.url, ["*"])
    assert [each.id for each in hooks.list(ann)] == [hook.id] and hooks.list(ben) == []
    assert [each.id for each in hooks.list(LOCAL_ADMIN)] == [hook.id]


def test_a_webhook_tells_what_its_owner_may_read_at_the_time(
    registry: Registry, hooks: Any, listener: Listener, workspace: Path, tmp_path: Path
) -> None:
    """Through a team as well; what was taken back is not sent, although it was on its way already."""
    ann, models = Subject("ann", ("vision",)), Models(workspace, database=registry.database)
    hook = hooks.add(ann, listener.url, ["*"])
    for seed, name in enumerate(("shared", "secret", "later")):
        registry.register(write_adapter(tmp_path / name, seed=seed), name=name)
    models.share("shared", "team:vision", "read")
    models.share("later", "team:vision", "read")
    listener.answers = [500] * 4
    assert hooks.deliver() == 4
    assert {json.loads(body)["model"] for _, body in listener.taken} == {"shared", "later"}
    listener.taken.clear()
    models.share("later", "team:vision", None)
    hooks.now[0] += timedelta(seconds=WAITS_S[0] + 1)
    hooks.deliver()
    assert {json.loads(body)["model"] for _, body in listener.taken} == {"shared"}
    told = {(line.what, line.state, bool(line.reason)) for line in hooks.history(ann, hook.id)}
    assert told == {
        ("version.registered", "delivered", False),
        ("model.shared", "delivered", False),
        ("version.registered", "failed", True),
        ("model.shared", "failed", True),
    }
    listener.taken.clear()
    models.edit("shared", description="x")
    assert hooks.list(Subject("ann")) and hooks.deliver() == 0, "who left the team is not told"
    assert hooks.list(ann)
    models.edit("shared", description="y")
    assert hooks.deliver() == 1 and "model.edited" in listener.taken[0][0]["Mozhu-Event"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8700/api/v1/models",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fd00::1]/",
        "http://[2002:7f00:1::]/",
        "http://224.0.0.1/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "http://user:secret@8.8.8.8/",
        "http://",
        "http://x:99999/",
        "nonsense",
    ],
)
def test_nothing_is_sent_into_the_own_network(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_url(url, private=False)


def test_a_public_address_is_allowed() -> None:
    check_url("https://8.8.8.8/hook", private=False)
    check_url("https://[2001:4860:4860::8888]/hook", private=False)
