"""Imports: an upload becomes a version, looked at by the safe loader first."""
