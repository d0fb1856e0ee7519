"""`python -m pixperts` is the command line."""

import sys

from pixperts.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
