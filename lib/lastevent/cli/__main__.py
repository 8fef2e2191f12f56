"""``python -m lastevent.cli``: the command, where it is not on PATH."""

import sys

from lastevent.cli import main

sys.exit(main())
