"""The ``hf`` engine, loaded without what it never uses: a run begins sooner and takes less memory.

Transformers' Trainer loads ``datasets`` (with pandas and pyarrow) to ask whether rows are of its kind, which ours
never are; accelerate loads ``boto3`` for questions about SageMaker.
"""

from __future__ import annotations

from mozhu.kernel.imports import imported_for_good, left_out

with left_out("boto3", "datasets"), imported_for_good():
    from mozhu.engine.training.engines.hf import HfEngine

__all__ = ["HfEngine"]
