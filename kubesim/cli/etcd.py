"""``kubesim etcd``: an etcd member as a process, with etcd's flags. What cannot be is one sentence, and exit status 2."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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


def _identity(command: Command) -> Command:
    """The flags that say which member of which cluster it is."""
    for option in (
        _flag("initial-cluster-token", "Sets clusters of the same addresses apart."),
        _flag("initial-cluster", "All first members: name=URL, with commas."),
        _flag("initial-advertise-peer-urls", "Where other members find it."),
        _flag("data-dir", "Where its data is; <name>.etcd if not given."),
        _flag("name", "This member's name."),
    ):
        command = option(command)
    return command


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell what cannot be in one sentence, and end with exit status 2."""
    from kubesim.etcd.snapshot_file import BadSnapshot
    from kubesim.server.etcd.process import CannotStart

    try:
        yield
    except BadSnapshot as error:
        print(f"{what}: the file {error}", file=sys.stderr)
    except (BadFlags, BadDataDir, CannotStart) as error:
        print(f"{what}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{what}: {error.filename or 'the data directory'}: {error.strerror}", file=sys.stderr)
    else:
        return
    raise SystemExit(EXIT_BAD_INPUT)


@click.group("etcd", context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@_identity
@_flag("listen-client-urls", "Where to serve clients.")
@_flag("advertise-client-urls", "Where clients find it; the addresses it listens on if not given.")
@_flag("listen-peer-urls", "Where to listen for other members.")
@_flag("initial-cluster-state", "new, or existing to join a cluster that runs.")
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
@click.pass_context
def etcd(context: click.Context, **given: object) -> None:
    """Serve etcd's v3 API, as one member or as one of several; or look after a snapshot's file.

    \b
    Example:
      kubesim etcd --data-dir /var/lib/etcd --listen-client-urls http://127.0.0.1:2379
    """
    if context.invoked_subcommand is not None:
        return
    flags = Flags()
    for name, value in given.items():
        if name.startswith("peer_"):
            setattr(flags.peer_tls, name.removeprefix("peer_"), value)
        elif name in Tls.__slots__:
            setattr(flags.client_tls, name, value)
        else:
            setattr(flags, name, value)
    import asyncio

    from kubesim.server.etcd.process import serve

    with _told("kubesim etcd"):
        asyncio.run(serve(flags))


@etcd.group("snapshot")
def snapshot() -> None:
    """Look after the files that ``etcdctl snapshot save`` has made."""


FILE = click.argument("file", type=click.Path(path_type=Path))
SKIP_HASH_CHECK = click.option("--skip-hash-check", is_flag=True, help="Take a copy of the file that has no hash at its end.")


@snapshot.command("restore")
@FILE
@_identity
@SKIP_HASH_CHECK
def snapshot_restore(file: Path, skip_hash_check: bool, **given: Any) -> None:
    """Make a data directory from FILE, for one member of a new cluster.

    \b
    Example, one of three members; the others restore the same file under their names:
      kubesim etcd snapshot restore saved.db --name n0 --data-dir n0.etcd --initial-advertise-peer-urls http://127.0.0.1:2380
        --initial-cluster n0=http://127.0.0.1:2380,n1=http://127.0.0.1:2382,n2=http://127.0.0.1:2384
    """
    from kubesim.server.etcd.restore import restore

    flags = Flags(**given)
    with _told(f"kubesim etcd snapshot restore {file}"):
        restore(file, flags, not skip_hash_check)
    print(f"restored {file} to {flags.directory} for the member {flags.name}", file=sys.stderr)


@snapshot.command("status")
@FILE
@SKIP_HASH_CHECK
@click.option("--write-out", "-w", type=click.Choice(["simple", "json"]), default="simple", show_default=True, help="How to print it.")
def snapshot_status(file: Path, skip_hash_check: bool, write_out: str) -> None:
    """Print hash, revision, records and size of FILE."""
    from kubesim.server.etcd.restore import status

    with _told(f"kubesim etcd snapshot status {file}"):
        found = status(file, not skip_hash_check)
        if write_out == "json":
            print(json.dumps({"hash": found.hash, "revision": found.revision, "totalKey": found.total_key, "totalSize": found.total_size}))
        else:
            print(f"{found.hash:x}, {found.revision}, {found.total_key}, {found.total_size:,} B")


if __name__ == "__main__":
    etcd()
