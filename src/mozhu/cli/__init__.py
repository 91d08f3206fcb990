"""Floor 6: names and flags; one file per command, imported only when called."""
