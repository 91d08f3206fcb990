"""Training engines, each behind the port ``engine.py``."""
