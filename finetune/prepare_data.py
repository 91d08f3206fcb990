"""Raw rows to training data (seed 003, step 2).

`mozhu data prepare` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
