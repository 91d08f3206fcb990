"""Whether a model is whole (seed 000).

`mozhu registry validate` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
