"""Training from 0_configs/0_train_config.json (seed 002).

`mozhu train` with the flag names of this script. Written by `make style`.
"""

from mozhu.cli.scripts import run

run(__file__)
