"""An adapter into its base (seed 004).

`mozhu merge` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
