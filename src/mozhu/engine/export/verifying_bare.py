"""``mozhu verify`` of weights by themselves: what can be verified of them is, and what cannot is said."""

from __future__ import annotations

from mozhu.engine.export.bare_weights import BareWeights
from mozhu.engine.export.verified import Looked
from mozhu.engine.intake.inspect import message_of
from mozhu.engine.intake.limits import Limits
from mozhu.engine.intake.scan import scan_file


def look_at_weights(found: Looked, bare: BareWeights) -> None:
    """Strict headers, and the manifest beside them; without any record of them, that nothing vouches for them."""
    faulty = {path for path in bare.files if _header_faults(found, bare, str(path.relative_to(bare.home)))}
    found.looked_at["headers"] = len(bare.files)
    if not faulty and found.certificate is None:
        found.looked_at["tensors"] = bare.tensor_count
    objections = bare.manifest_objections()
    if objections is not None:
        found.looked_at["files"] = len(bare.files)
        for path, code in objections:
            found.add(f"manifest_{code}", path)
    elif found.certificate is None:
        found.add("no_record", bare.path.name)
    if found.certificate is None:
        found.add("no_certificate", bare.path.name, "warning")
    found.add("only_weights", bare.path.name, "warning")


def _header_faults(found: Looked, bare: BareWeights, name: str) -> bool:
    faults = [one for one in scan_file(bare.home / name, name, Limits()).findings if one.level == "error"]
    for fault in faults:
        found.say("header", name, message_of(fault))
    return bool(faults)
