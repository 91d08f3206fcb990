"""Ten sample rows, or generated ones (seed 003, step 1).

`mozhu data sample` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
