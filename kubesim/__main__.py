"""``python -m kubesim`` is the command ``kubesim``."""

from kubesim.cli.main import entry

if __name__ == "__main__":
    entry()
