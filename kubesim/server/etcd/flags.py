"""What the flags of ``kubesim etcd`` say, checked: etcd's names, etcd's defaults, and one sentence for what cannot be.

Upstream: etcd ``server/embed/config.go``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kubesim.etcd.alarms import QUOTA_BYTES
from kubesim.etcd.api.urls import check_url
from kubesim.etcd.auth.passwords import COST
from kubesim.etcd.txn import OPERATIONS_MAX
from kubesim.kernel.time import HOUR, MILLISECOND, SECOND, parse_duration

if TYPE_CHECKING:  # the command's help needs the flags and not the member
    from kubesim.etcd.api.context import ApiSettings
    from kubesim.etcd.member import MemberSettings

CLIENT_URL = "http://localhost:2379"
PEER_URL = "http://localhost:2380"
ELECTION_MS_MAX = 50_000
APPLY_BYTES = 4096  # what a request may have beside its encoding in a member's own reckoning
PERIODIC, REVISION = "periodic", "revision"


class BadFlags(Exception):
    """Flags that no member can start with; the message is for the user."""


@dataclass(slots=True)
class Tls:
    """Certificates of one kind of listener."""

    cert_file: str = ""
    key_file: str = ""
    trusted_ca_file: str = ""
    client_cert_auth: bool = False

    @property
    def is_given(self) -> bool:
        """Whether there is a certificate."""
        return bool(self.cert_file or self.key_file)

    def check(self, prefix: str) -> None:
        """Refuse half a certificate. Raises BadFlags."""
        if bool(self.cert_file) != bool(self.key_file):
            raise BadFlags(f"--{prefix}cert-file and --{prefix}key-file belong together; one is missing")
        if self.client_cert_auth and not (self.trusted_ca_file and self.is_given):
            raise BadFlags(f"--{prefix}client-cert-auth needs --{prefix}trusted-ca-file, --{prefix}cert-file and --{prefix}key-file")


@dataclass(slots=True)
class Flags:
    """All flags, as given; ``check`` makes sense of them."""

    name: str = "default"
    data_dir: str = ""
    listen_client_urls: str = CLIENT_URL
    advertise_client_urls: str = ""
    listen_peer_urls: str = PEER_URL
    initial_advertise_peer_urls: str = PEER_URL
    initial_cluster: str = ""
    initial_cluster_state: str = "new"
    initial_cluster_token: str = "etcd-cluster"
    quota_backend_bytes: int = 0
    max_txn_ops: int = OPERATIONS_MAX
    max_request_bytes: int = 3 << 19
    auto_compaction_mode: str = PERIODIC
    auto_compaction_retention: str = "0"
    unsafe_no_fsync: bool = False
    auth_token_ttl: int = 300
    bcrypt_cost: int = COST
    heartbeat_interval: int = 100
    election_timeout: int = 1000
    snapshot_count: int = 10_000
    watch_progress_notify_interval: str = "10m"
    client_tls: Tls = field(default_factory=Tls)
    peer_tls: Tls = field(default_factory=Tls)

    # -- checked

    @property
    def directory(self) -> Path:
        """Where the data is."""
        return Path(self.data_dir or f"{self.name}.etcd")

    def check(self) -> None:
        """Refuse what cannot be. Raises BadFlags."""
        for name in ("listen_client_urls", "listen_peer_urls", "initial_advertise_peer_urls", "advertise_client_urls"):
            if getattr(self, name) or name != "advertise_client_urls":
                urls(getattr(self, name), name.replace("_", "-"))
        if self.initial_cluster_state not in ("new", "existing"):
            raise BadFlags(f"--initial-cluster-state is {self.initial_cluster_state!r}; expected new or existing")
        if self.auto_compaction_mode not in (PERIODIC, REVISION):
            raise BadFlags(f"--auto-compaction-mode is {self.auto_compaction_mode!r}; expected periodic or revision")
        self._check_numbers()
        self.client_tls.check("")
        self.peer_tls.check("peer-")
        self.compaction()
        _duration(self.watch_progress_notify_interval, "watch-progress-notify-interval")
        self.members()

    def _check_numbers(self) -> None:
        for name in ("max_txn_ops", "max_request_bytes", "auth_token_ttl", "heartbeat_interval", "election_timeout", "snapshot_count"):
            if getattr(self, name) <= 0:
                raise BadFlags(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected a number above 0")
        if 5 * self.heartbeat_interval > self.election_timeout:
            raise BadFlags(
                f"--election-timeout is {self.election_timeout} ms and --heartbeat-interval {self.heartbeat_interval} ms; "
                "expected an election timeout of at least 5 heartbeats"
            )
        if self.election_timeout > ELECTION_MS_MAX:
            raise BadFlags(f"--election-timeout is {self.election_timeout} ms; expected at most {ELECTION_MS_MAX}")

    def members(self) -> dict[str, tuple[str, ...]]:
        """Return the first members: name -> peer addresses. Raises BadFlags when this member is not among them as it should be."""
        own = urls(self.initial_advertise_peer_urls, "initial-advertise-peer-urls")
        if not self.initial_cluster:
            return {self.name: own}
        found: dict[str, list[str]] = {}
        for part in self.initial_cluster.split(","):
            name, equals, url = part.strip().partition("=")
            if not equals or not name:
                raise BadFlags(f"--initial-cluster has {part!r}; expected name=URL")
            found.setdefault(name, []).extend(urls(url, "initial-cluster"))
        if self.name not in found:
            raise BadFlags(f"--initial-cluster does not name this member, {self.name!r}; it names {', '.join(found)}")
        if tuple(sorted(found[self.name])) != own:
            raise BadFlags(
                f"--initial-cluster says that {self.name} is at {','.join(sorted(found[self.name]))}, "
                f"--initial-advertise-peer-urls says {','.join(own)}"
            )
        hosts = [tuple(sorted(addresses)) for addresses in found.values()]
        if len(set(hosts)) < len(hosts):
            raise BadFlags("--initial-cluster has two members at the same address")
        return {name: tuple(sorted(addresses)) for name, addresses in found.items()}

    def advertised_client_urls(self) -> tuple[str, ...]:
        """Return where clients find this member."""
        return urls(self.advertise_client_urls or self.listen_client_urls, "advertise-client-urls")

    def compaction(self) -> tuple[str, int] | None:
        """Return (mode, retention): nanoseconds or revisions; None: there is none. Raises BadFlags."""
        text = self.auto_compaction_retention
        if self.auto_compaction_mode == REVISION:
            if not text.isascii() or not text.isdigit():
                raise BadFlags(f"--auto-compaction-retention is {text!r}; expected a number of revisions")
            return (REVISION, int(text)) if int(text) else None
        duration_ns = int(text) * HOUR if text.isascii() and text.isdigit() else _duration(text, "auto-compaction-retention")
        return (PERIODIC, duration_ns) if duration_ns else None

    def api_settings(self) -> "ApiSettings":
        """Return what the flags say about requests."""
        from kubesim.etcd.api.context import ApiSettings

        return ApiSettings(
            operations_max=self.max_txn_ops,
            request_bytes_max=self.max_request_bytes,
            quota_bytes=max(self.quota_backend_bytes or QUOTA_BYTES, 0),
            progress_ns=max(_duration(self.watch_progress_notify_interval, "watch-progress-notify-interval"), 100 * MILLISECOND),
            password_cost=self.bcrypt_cost,
            token_ttl_ns=self.auth_token_ttl * SECOND,
        )

    def member_settings(self) -> "MemberSettings":
        """Return what the flags say about the member."""
        from kubesim.etcd.member import MemberSettings

        return MemberSettings(
            heartbeat_ns=self.heartbeat_interval * MILLISECOND,
            election_ticks=max(self.election_timeout // self.heartbeat_interval, 1),
            snapshot_count=self.snapshot_count,
            request_bytes_max=self.max_request_bytes + APPLY_BYTES,
        )


def urls(text: str, flag: str) -> tuple[str, ...]:
    """Return the addresses of a list with commas, in order. Raises BadFlags."""
    try:
        found = tuple(sorted(check_url(url.strip()) for url in text.split(",")))
    except ValueError as error:
        raise BadFlags(f"--{flag}: {error}") from None
    unserved = _first(url for url in found if url.startswith("unix"))
    if unserved:
        raise BadFlags(f"--{flag}: {unserved!r} is a unix socket, which kubesim does not serve; expected http or https")
    return found


def _first(found: Iterable[str]) -> str:
    return next(iter(found), "")


def _duration(text: str, flag: str) -> int:
    parse: Callable[[str], int] = parse_duration
    try:
        return parse(text) if text != "0" else 0
    except ValueError:
        raise BadFlags(f"--{flag} is {text!r}; expected a duration like 10m or 1h30m") from None
