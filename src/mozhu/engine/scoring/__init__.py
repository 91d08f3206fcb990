"""Mozhu: engine scoring."""
