"""Environments of their own for engines whose libraries cannot stand beside ours (``mozhu engines``)."""
