"""Parts of the starter model's maker (see ``tools/make_starter.py``)."""
