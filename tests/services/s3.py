"""A real S3 server for tests: OpenStack Swift with its S3 API, from Debian's packages, on 127.0.0.1.

Everything it writes lies in one folder; `/etc/swift` is neither read nor changed. It may be started by any user.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("account", "container", "object", "proxy")
PROGRAMS = (*(f"swift-{kind}-server" for kind in KINDS), "swift-ring-builder", "memcached")
_STARTS_S = 90.0
# Swift reads `/etc/swift/swift.conf` unless it is told otherwise before its server starts.
_ELSEWHERE = (
    "import sys, runpy; import swift.common.utils as utils; "
    "utils.SWIFT_CONF_FILE = sys.argv[1] + '/swift.conf'; "
    "sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
_SWIFT = """[swift-hash]
swift_hash_path_suffix = s
swift_hash_path_prefix = p
[storage-policy:0]
name = default
default = yes
"""
_PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
"""


@dataclass(frozen=True)
class S3Server:
    """Where it answers and who may ask; ``environment`` is what Mozhu reads."""

    endpoint: str
    key: str = "test:tester"
    secret: str = "testing"
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
        }

    def client(self) -> Any:
        """A client of Amazon's, to look at what lies in the server by other eyes than ours."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if _program(name) is None]


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """A server with nothing in it; gone, with its processes, when the block ends."""
    ports = dict(zip((*KINDS, "memcached"), _free_ports(5)))
    _configure(folder, ports)
    processes = [_start_memcached(folder, ports["memcached"])]
    try:
        processes += [_start(folder, kind) for kind in KINDS]
        _wait(folder, f"http://127.0.0.1:{ports['proxy']}/healthcheck", processes)
        yield S3Server(endpoint=f"http://127.0.0.1:{ports['proxy']}")
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _configure(folder: Path, ports: dict[str, int]) -> None:
    for part in ("etc", "run", "disk/d1"):
        (folder / part).mkdir(parents=True)
    etc = folder / "etc"
    (etc / "swift.conf").write_text(_SWIFT)
    common = (
        f"mount_check = false\nbind_ip = 127.0.0.1\nworkers = 0\nuser = {_user()}\nswift_dir = {etc}\n"
        f"recon_cache_path = {folder / 'run'}\nlog_level = WARNING\nfallocate_reserve = 0\n"
    )
    for kind in KINDS[:3]:
        _make_ring(etc, kind, ports[kind])
        (etc / f"{kind}.conf").write_text(
            f"[DEFAULT]\ndevices = {folder / 'disk'}\nbind_port = {ports[kind]}\n{common}"
            f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
        )
    filters = ("healthcheck", "catch_errors", "gatekeeper", "listing_formats", "copy", "slo", "dlo")
    (etc / "proxy.conf").write_text(
        f"[DEFAULT]\nbind_port = {ports['proxy']}\n{common}"
        + _PROXY.format(memcached=ports["memcached"])
        + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in filters)
    )


def _make_ring(etc: Path, kind: str, port: int) -> None:
    builder = [str(_program("swift-ring-builder")), f"{kind}.builder"]
    device = ["--region", "1", "--zone", "1", "--ip", "127.0.0.1", "--port", str(port), "--device", "d1"]
    steps = (["create", "4", "1", "1"], ["add", *device, "--weight", "1"], ["rebalance"])
    for step in steps:
        subprocess.run([*builder, *step], cwd=etc, check=True, capture_output=True)


def _start(folder: Path, kind: str) -> subprocess.Popen[bytes]:
    program = str(_program(f"swift-{kind}-server"))
    with open(folder / f"{kind}.log", "wb") as log:
        return subprocess.Popen(
            [
                _python_of(program),
                "-c",
                _ELSEWHERE,
                str(folder / "etc"),
                program,
                f"{folder}/etc/{kind}.conf",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        )


def _start_memcached(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(_program("memcached")), "-l", "127.0.0.1", "-p", str(port), "-u", _user()]
    with open(folder / "memcached.log", "wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _wait(folder: Path, address: str, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _STARTS_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            dead = [process.args for process in processes if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
                raise RuntimeError(f"Swift did not start: {dead}\n{logs}") from None
            time.sleep(0.2)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin"]))


def _python_of(script: str) -> str:
    """The interpreter of a Debian script: its libraries are not in our environment."""
    first = Path(script).read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#!").strip().split()[0]


def _user() -> str:
    import getpass

    return getpass.getuser()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()
