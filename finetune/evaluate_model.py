"""Evaluation, conversation and merging (seed 003, step 4).

`mozhu evaluate` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
