"""LoRA fine-tuning (seed 004).

`mozhu train` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
