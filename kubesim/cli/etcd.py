"""``kubesim etcd``: an etcd member as a process, with etcd's flags. What cannot be is one sentence, and exit status 2."""

import sys
from collections.abc import Callable
from typing import Any

import click

from kubesim.cli.main import EXIT_BAD_INPUT
from kubesim.server.etcd.files import BadDataDir
from kubesim.server.etcd.flags import BadFlags, Flags, Tls

DEFAULTS = Flags()
Command = Callable[..., Any]


def _flag(name: str, help_text: str) -> Callable[[Command], Command]:
    default = getattr(DEFAULTS, name.replace("-", "_"))
    if isinstance(default, bool):
        return click.option(f"--{name}", type=bool, is_flag=False, flag_value=True, default=default, help=help_text)
    return click.option(f"--{name}", type=type(default), default=default, show_default=True, help=help_text)


def _tls(prefix: str) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        who = "other members" if prefix else "clients"
        for name, text in (
            ("client-cert-auth", f"Require certificates of {who}."),
            ("trusted-ca-file", f"Whom to trust for certificates of {who}."),
            ("key-file", f"The key for {who}."),
            ("cert-file", f"The certificate for {who}."),
        ):
            if name == "client-cert-auth":
                option = click.option(f"--{prefix}{name}", type=bool, is_flag=False, flag_value=True, default=False, help=text)
            else:
                option = click.option(f"--{prefix}{name}", type=str, default="", help=text)
            command = option(command)
        return command

    return decorate


@click.command("etcd", context_settings={"help_option_names": ["-h", "--help"]})
@_flag("name", "This member's name.")
@_flag("data-dir", "Where its data is; <name>.etcd if not given.")
@_flag("listen-client-urls", "Where to serve clients.")
@_flag("advertise-client-urls", "Where clients find it; the addresses it listens on if not given.")
@_flag("listen-peer-urls", "Where to listen for other members.")
@_flag("initial-advertise-peer-urls", "Where other members find it.")
@_flag("initial-cluster", "All first members: name=URL, with commas.")
@_flag("initial-cluster-state", "new, or existing to join a cluster that runs.")
@_flag("initial-cluster-token", "Sets clusters of the same addresses apart.")
@_flag("quota-backend-bytes", "The size at which writes are refused; 0 is 2 GiB, a negative number no limit.")
@_flag("max-txn-ops", "The operations that a transaction may have.")
@_flag("max-request-bytes", "The size that a request may have.")
@_flag("auto-compaction-mode", "periodic or revision.")
@_flag("auto-compaction-retention", "Hours, a duration, or revisions to keep; 0 compacts nothing by itself.")
@_flag("unsafe-no-fsync", "Answer before data is on the disk: a crash of the machine may lose it.")
@_flag("auth-token-ttl", "Seconds that a login is good for when it is not used.")
@_flag("bcrypt-cost", "How hard passwords are to guess, 4 to 31.")
@_flag("heartbeat-interval", "Milliseconds between heartbeats.")
@_flag("election-timeout", "Milliseconds without a heartbeat before an election.")
@_flag("snapshot-count", "Entries of the log between snapshots.")
@_flag("watch-progress-notify-interval", "How often quiet watches are told how far they are.")
@_tls("")
@_tls("peer-")
def etcd(**given: object) -> None:
    """Serve etcd's v3 API, as one member or as one of several.

    \b
    Example:
      kubesim etcd --data-dir /var/lib/etcd --listen-client-urls http://127.0.0.1:2379
    """
    flags = Flags()
    for name, value in given.items():
        if name.startswith("peer_"):
            setattr(flags.peer_tls, name.removeprefix("peer_"), value)
        elif name in Tls.__slots__:
            setattr(flags.client_tls, name, value)
        else:
            setattr(flags, name, value)
    import asyncio

    from kubesim.server.etcd.process import CannotStart, serve

    try:
        asyncio.run(serve(flags))
    except (BadFlags, BadDataDir, CannotStart) as error:
        print(f"kubesim etcd: {error}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
    except OSError as error:
        print(f"kubesim etcd: {error.filename or 'the data directory'}: {error.strerror}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None


if __name__ == "__main__":
    etcd()
