"""The main job end to end, in one command: from sample rows to a registered model that answers."""
