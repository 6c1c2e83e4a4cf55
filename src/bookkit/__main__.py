"""``python -m bookkit``: see :mod:`bookkit.cli`."""

import sys

from bookkit.cli import main

sys.exit(main())
