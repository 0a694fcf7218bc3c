"""The command's front door: subcommands, and errors as sentences with an exit status.

0 is success, 1 a run that failed, 2 bad input (a bad option or manifest, nothing applied from it), 130 an interrupt. Results go to stdout,
everything else to stderr. Imports of the simulator happen inside the subcommands, so that ``--help`` is fast.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


COMMANDS = {  # subcommand -> module and name; imported when it is called, or listed
    "bench": "kubesim.cli.bench:bench",
    "etcd": "kubesim.cli.etcd:etcd",
    "explain": "kubesim.cli.explain:explain",
    "run": "kubesim.cli.run:run",
    "scenarios": "kubesim.cli.scenarios:scenarios",
    "schedule": "kubesim.cli.schedule:schedule",
    "serve": "kubesim.cli.serve:serve",
}


class Commands(click.Group):
    """The group of subcommands, which imports the one that is called and no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, for the help."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of a name, or None."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.pass_context
def cli(context: click.Context) -> None:
    """Run a whole Kubernetes control plane in this process, in virtual time.

    \b
    Example:
      kubesim run --nodes 1000 --pods 10000
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
def version() -> None:
    """Print the version.

    \b
    Example:
      kubesim version
    """
    from kubesim.version import VERSION

    click.echo(f"kubesim {VERSION}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); return the exit status."""
    try:
        result = cli.main(args=None if arguments is None else list(arguments), prog_name="kubesim", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        return _bad_usage(error)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (``| head``): nothing to say, and nothing more to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def entry() -> NoReturn:
    """Be the process ``kubesim``: run the command of the command line and end with its exit status.

    The end is immediate: everything is written and closed by then, and to free millions of objects one by one takes longer than a
    fifth of the run.
    """
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the reader may be gone
            stream.flush()
    os._exit(status)


def _bad_usage(error: click.UsageError) -> int:
    path = error.ctx.command_path if error.ctx else "kubesim"
    return _complain(f"{error.format_message()}\nSee: {path} --help", EXIT_BAD_INPUT)


def _complain(message: str, status: int) -> int:
    for line in message.splitlines():
        click.echo(f"kubesim: {line}", err=True)
    return status
