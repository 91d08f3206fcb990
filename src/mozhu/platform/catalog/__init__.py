"""Mozhu: platform catalog."""
