"""Mozhu: engine evaluation."""
