"""The steps, from the first release's tables to those of today."""
