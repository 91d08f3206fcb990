"""``merge.json`` in a merged model's folder: what was merged into what."""

from __future__ import annotations

# Its presence also marks the folder as one that a later merge may replace. The converter reads it without
# torch.
MERGE_RECORD = "merge.json"
# The same of ``mozhu convert``.
CONVERT_RECORD = "convert.json"
