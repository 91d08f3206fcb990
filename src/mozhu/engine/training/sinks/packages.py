"""Which package a built-in sink needs. Imports none of them."""

from __future__ import annotations

from importlib.util import find_spec

from mozhu.kernel import slots
from mozhu.kernel.errors import MissingExtra, UnknownSlotName
from mozhu.specs.records.findings import Finding

SLOT = "mozhu.training_sinks"
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow", "swanlab": "swanlab"}


def sink_findings(names: tuple[str, ...]) -> list[Finding]:
    """Sinks that are not there, and those whose package is not installed."""
    known = slots.names(SLOT)
    findings = []
    for name in names:
        package = _PACKAGES.get(name)
        if name not in known:
            findings.append(
                Finding("error", UnknownSlotName.code, {"slot": SLOT, "name": name, "known": known})
            )
        elif package and find_spec(package) is None:
            params = {"wanted_by": name, "module": package, "extra": slots.EXTRA_OF_MODULE[package]}
            findings.append(Finding("error", MissingExtra.code, params))
    return findings
