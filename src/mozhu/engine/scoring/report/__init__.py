"""Mozhu: engine scoring report."""
