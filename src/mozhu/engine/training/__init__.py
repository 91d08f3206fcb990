"""Training: preflight and forecast, run and resume; port ``engine.py``, engines in ``engines/``."""
