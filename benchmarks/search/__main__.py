"""``python -m benchmarks.search``: see :mod:`benchmarks.search.command`."""

import sys

# Processes that the command starts import this file too, and need nothing of the command.
if __name__ == "__main__":
    from benchmarks.search.command import main

    sys.exit(main())
