"""What is said of a registration, whichever command made it."""

from __future__ import annotations

from mozhu.kernel.texts import text
from mozhu.platform.catalog.datasets.views import RegisteredDataset


def registered_words(done: RegisteredDataset) -> str:
    """What was registered, and how it is used."""
    version = done.version
    words = text(
        "datasets.register.already" if done.already else "datasets.register.done",
        reference=version.reference,
        state=version.state_word,
        path=f"5_models/{version.path}",
        rows=version.row_count,
        size=version.size,
    )
    use = text("datasets.register.use", reference=version.reference)
    return f"{words}\n{text('runs.next')}\n  {use}"
