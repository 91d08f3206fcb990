"""Mozhu: arithmetic of adapters."""
