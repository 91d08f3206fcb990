"""Every command of the toolkit (seed 002).

`mozhu` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
