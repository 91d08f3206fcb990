"""Mozhu: platform catalog datasets."""
