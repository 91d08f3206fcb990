"""Floor 1: errors, texts, files, paths, progress, slots, machine. Imports nothing above it."""
