"""`python -m sapiens2_lit` is the command `sapiens2-lit`."""

import sys

from sapiens2_lit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
