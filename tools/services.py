"""Install the servers that tests run against, where that may be done: Debian or Ubuntu, as root.

PostgreSQL, OpenStack Swift (a real S3) and memcached. Nothing is started and nothing runs afterwards; tests start
their own on 127.0.0.1. Where they cannot be installed, tests that need them are skipped with a reason, and with
CI=true they fail. Does nothing, quickly, when all is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Program -> the package that brings it.
PACKAGES = {
    "swift-proxy-server": "swift-proxy",
    "swift-account-server": "swift-account",
    "swift-container-server": "swift-container",
    "swift-object-server": "swift-object",
    "memcached": "memcached",
    "initdb": "postgresql",
}
_PLACES = ("/usr/bin", "/usr/sbin", "/usr/local/bin")


def main() -> int:
    missing = sorted(package for program, package in PACKAGES.items() if not is_there(program))
    if not missing:
        return 0
    words = ", ".join(missing)
    if not may_install():
        say(f"没有 {words}；需要它们的测试会跳过 · without {words}: tests that need them are skipped")
        return 0
    say(f"安装测试用的服务 {words} · installing servers for tests: {words}")
    return 0 if install(missing) else failed(words)


def is_there(program: str) -> bool:
    if shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])):
        return True
    # Debian keeps PostgreSQL's programs by version.
    return any(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))


def may_install() -> bool:
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    steps = (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages])
    for step in steps:
        done = subprocess.run(
            ["apt-get", "-o", "DPkg::Lock::Timeout=120", *step],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
    return done.returncode == 0


def failed(words: str) -> int:
    say(f"装不上 {words}；需要它们的测试会跳过 · could not install {words}: tests that need them are skipped")
    return 1 if os.environ.get("CI", "").lower() == "true" else 0


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
