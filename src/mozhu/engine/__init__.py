"""Mozhu: engine."""
