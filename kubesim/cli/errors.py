"""What the command complains about: an exception per exit status."""

import click


class Interrupted(click.ClickException):
    """Ctrl-C: exit status 130."""

    exit_code = 130


class BadInput(click.ClickException):
    """A bad option or a bad file: exit status 2, one sentence per line."""

    exit_code = 2
