"""The planted-fault corpus: rows, near duplicates and chat templates with faults whose places are known."""
