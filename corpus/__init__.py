"""The planted-fault corpus: rows, near duplicates, chat templates and model files with faults that are known."""
