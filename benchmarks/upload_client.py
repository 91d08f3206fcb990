"""The product's client in a process of its own that can be killed: `python -m benchmarks.upload_client URL FILE`."""

from __future__ import annotations

import json
import sys

from mozhu.client.client import Client


def main(server: str, path: str) -> None:
    with Client(server) as client:
        done = client.upload(path)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"upload": done.upload, "peak_bytes": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
