"""Answers that are given again: a request with the same key is done once."""
