"""Conversion of a model's format (seed 000).

`mozhu convert` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
