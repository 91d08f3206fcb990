"""``python -m mozhu`` is ``mozhu``."""

import sys

from mozhu.cli.main import main

# Worker processes import this file under another name.
if __name__ == "__main__":
    sys.exit(main())
