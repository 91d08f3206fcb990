"""Rows laid end to end in one sequence: no padding, each row alone in its attention and its positions."""
