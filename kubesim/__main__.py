"""``python -m kubesim`` is the command ``kubesim``."""

import sys

from kubesim.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
