"""Mozhu: content-addressed files."""
