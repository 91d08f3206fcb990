"""The ``swift`` engine: ms-swift in an environment of its own, on our rows, with our events and artefacts."""
