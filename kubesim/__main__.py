"""``python -m kubesim`` is the command ``kubesim``."""

import sys

if __name__ == "__main__":
    try:
        from kubesim.cli.main import entry
    except KeyboardInterrupt:  # Ctrl-C while the modules are still being read: the status of the command, no traceback
        sys.exit(130)
    entry()
