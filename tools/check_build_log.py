"""Fail when the build log of the extensions holds a Cython performance hint or a warning.

A hint means that a ``cdef`` function without ``noexcept`` or ``except`` pays for an exception check at every call.
"""

import sys
from pathlib import Path

MARKS = ("performance hint:", "warning:")


def main() -> int:
    """Print the offending lines of the log named on the command line; exit status 1 if there are any."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if any(mark in line for mark in MARKS) and "kubesim/_core" in line]
    for line in found:
        print(line)
    print(f"build log: {len(lines)} lines, {len(found)} hints or warnings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
