"""The tables' history, one file a step; see ``newest.py`` for the rules of their names."""
