"""`python -m watcher` is the command `watcher`."""

import sys

if __name__ == "__main__":
    try:
        from watcher.cli import main

        sys.exit(main())
    except KeyboardInterrupt:
        # Ctrl-C while the program is still loading: nobody wants to read where.
        sys.exit(130)
