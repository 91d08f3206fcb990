"""What Prometheus reads at ``/metrics``: requests, their times, what is under way; over all worker processes."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# Prometheus' own name: set by `mozhu up` for several workers.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """The metrics of one process; a registry of its own, so that several services can live in one."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mozhu_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "mozhu_http_request_seconds",
            "Seconds until a request was answered",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._open = Gauge(
            "mozhu_http_requests_open",
            "Requests under way",
            multiprocess_mode="livesum",
            registry=self._registry,
        )

    def begin(self) -> None:
        self._open.inc()

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        self._open.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        if FOLDER_VARIABLE not in os.environ:
            return bytes(generate_latest(self._registry))
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)
        return bytes(generate_latest(everyone))
