"""Mozhu: engine inference."""
