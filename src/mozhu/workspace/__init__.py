"""Mozhu: workspace."""
