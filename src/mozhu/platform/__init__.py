"""Mozhu: platform."""
