"""The registry of models (seed 000).

`mozhu registry` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
