"""``python -m mozhu`` is ``mozhu``."""

import sys

from mozhu.cli.main import main

sys.exit(main())
