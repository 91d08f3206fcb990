"""Mozhu: engine export."""
