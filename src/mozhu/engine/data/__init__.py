"""Mozhu: engine data."""
