"""Mozhu: platform database."""
