"""Mozhu: uploads that cannot be lost."""
