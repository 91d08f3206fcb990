"""A merged model as GGUF (seed 003, step 5).

`mozhu convert` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
