"""A member as a process: from flags to sockets, and back to nothing. It runs until it is told to stop, or is removed from its cluster."""

import asyncio
import contextlib
import gc
import os
import signal
import ssl
import sys
import time
import traceback
from collections.abc import Callable
from urllib.parse import urlsplit

from kubesim.etcd.alarms import NoSpace
from kubesim.etcd.api.context import Context
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.member import Member
from kubesim.etcd.membership import MemberInfo, cluster_id_of, member_id_of
from kubesim.etcd.raft.messages import NONE
from kubesim.etcd.service import Service
from kubesim.server.etcd.clock import Clock
from kubesim.server.etcd.compaction import Compactor
from kubesim.server.etcd.disk import FileDisk, is_full
from kubesim.server.etcd.door import Door
from kubesim.server.etcd.errors import UNAVAILABLE, Refused
from kubesim.server.etcd.files import BadDataDir, DataDir
from kubesim.server.etcd.flags import BadFlags, Flags, Tls, urls
from kubesim.server.etcd.front import Front
from kubesim.server.etcd.peers import Incoming, Peers, ask_members

JOIN_SECONDS_MAX = 20.0
JOIN_RETRY_SECONDS = 0.3
BACKLOG = 1024
PUBLISH_LOOK_SECONDS = 0.01
READY_SECONDS_MAX = 5.0
CRASHED = 70
VERSION_MONITOR_NS = 5_000_000_000
YOUNG_OBJECTS_MAX = 20_000  # a call leaves no cycle; what is young is in the log, and looking at it is a pause of some milliseconds
YOUNG_COLLECTIONS_MAX = 250


class CannotStart(Exception):
    """Why there will be no member; the message is one sentence for the user."""


class Process:
    """One member and everything around it."""

    def __init__(self, flags: Flags, loop: asyncio.AbstractEventLoop, door: Door | None = None) -> None:
        self.flags = flags
        self.loop = loop
        self.stopped = asyncio.Event()
        self.directory = DataDir(flags.directory, door)
        self.clock: Clock
        self.member: Member
        self.context: Context
        self.peers: Peers
        self.front: Front
        self._disk: FileDisk
        self._servers: list[asyncio.Server] = []

    # -- who this is

    def _identify(self) -> tuple[int, int, list[MemberInfo], bool]:
        """Return (member, cluster, the members that are known, whether it is one of the first). Raises CannotStart."""
        flags, known = self.flags, self.directory.identity()
        members = flags.members()
        token = flags.initial_cluster_token
        if known is not None:
            infos = [MemberInfo(member_id_of(",".join(hosts), token), ",".join(hosts), name) for name, hosts in members.items()]
            return known["member_id"], known["cluster_id"], infos, known["is_first"]
        if flags.initial_cluster_state == "existing":
            return self._join(members)
        infos = [MemberInfo(member_id_of(",".join(hosts), token), ",".join(hosts), name) for name, hosts in members.items()]
        own = next(info.member_id for info in infos if info.name == flags.name)
        return own, cluster_id_of([info.member_id for info in infos]), infos, True

    def _join(self, members: dict[str, tuple[str, ...]]) -> tuple[int, int, list[MemberInfo], bool]:
        """Find this member among those of a cluster that runs. Raises CannotStart."""
        own = ",".join(members[self.flags.name])
        tls = client_tls_of(self.flags.peer_tls)
        deadline = time.monotonic() + JOIN_SECONDS_MAX
        answered = False
        while time.monotonic() < deadline:
            for name, hosts in members.items():
                for url in hosts if name != self.flags.name else ():
                    found = ask_members(url, tls)
                    if found is None:
                        continue
                    answered = True
                    cluster_id, infos = found
                    mine = [info for info in infos if info.host == own]
                    if mine:
                        return mine[0].member_id, cluster_id, infos, False
            time.sleep(JOIN_RETRY_SECONDS)
        if answered:
            raise CannotStart(f"the cluster does not know a member at {own}; add it with member add first")
        raise CannotStart("no member of --initial-cluster answers, so this one cannot join")

    # -- start

    async def start(self) -> None:
        """Recover and serve. Raises CannotStart, BadFlags, BadDataDir."""
        flags = self.flags
        flags.check()
        self.directory.open()
        member_id, cluster_id, infos, is_first = self._identify()
        self.clock = Clock(self.loop, member_id ^ time.time_ns())
        self._disk = FileDisk(self.directory, self.loop, self.clock.wake, is_synced=not flags.unsafe_no_fsync)
        host = ",".join(urls(flags.initial_advertise_peer_urls, "initial-advertise-peer-urls"))
        own = next((info for info in infos if info.member_id == member_id), MemberInfo(member_id, host))
        self.member = Member(self.clock.kernel, own._replace(name=flags.name), self._disk, self._send, flags.member_settings())  # type: ignore[arg-type]
        # Numbers of requests hold the epoch: one that was given in an earlier life must never come again.
        self.member.epoch = int(time.time()) & 0xFFFFFFFF
        self.member.defer = self.clock.soon
        self.clock.work.append(self.member.end_turn)
        service = Service(self.member, flags.initial_cluster_token, flags.advertised_client_urls())
        self.context = Context(self.member, service, flags.api_settings(), cluster_id)
        self._disk.on_trouble = self._disk_trouble
        self.member.on_stop.append(lambda power_lost: self.stopped.set())
        self.peers = Peers(self.loop, cluster_id, host, self._receive, self._known_members, client_tls_of(flags.peer_tls))
        self.peers.on_refused = self._refused
        self.directory.identify(member_id, cluster_id, is_first)
        if is_first and not self.directory.segments():
            self.member.bootstrap(infos)
        if not is_first and not self.directory.segments():
            self.context.storage_old_until_ns = self.clock.now_ns() + VERSION_MONITOR_NS
        await self._listen_peers()
        self.clock.wake()
        self.member.start(infos)
        self._keep_peers()
        await self._publish(service)
        compaction = flags.compaction()
        if compaction is not None:
            Compactor(self.context, *compaction)
        self.front = Front(self.loop, self.context, self.clock)
        await self._listen_clients()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS_MAX, YOUNG_COLLECTIONS_MAX, 100)

    async def _publish(self, service: Service) -> None:
        """Tell the cluster about this member; clients are served once it knows, or after 5 s, as etcd does: then reads need no quorum."""
        member = self.member
        wanted = service.client_urls
        deadline = time.monotonic() + READY_SECONDS_MAX
        self.clock.wake()
        member.enter(service.publish)
        while not self.stopped.is_set() and time.monotonic() < deadline:
            info = member.members.by_id.get(member.member_id)
            if info is not None and (info.name, info.client_urls) == (member.name, wanted) and self._knows_leader():
                return
            await asyncio.sleep(PUBLISH_LOOK_SECONDS)

    def _knows_leader(self) -> bool:
        """Whether requests can be served; a restarted member has published itself in an earlier life already."""
        member = self.member
        return member.begun_term == member.node.raft.term if member.is_leader else member.node.raft.lead != NONE

    def _known_members(self) -> list[MemberInfo]:
        return list(self.member.members.by_id.values())

    def _send(self, host: str, message: object) -> None:
        self.peers.send(host, message)

    def _receive(self, source: str, message: object) -> None:
        self.clock.wake()
        self.member.receive(source, message)

    def _refused(self, host: str) -> None:
        self.clock.wake()
        self.member.lost(host)

    def _keep_peers(self) -> None:
        """Have connections to all members, and to no other."""
        self.peers.keep({info.host for info in self.member.members.by_id.values()})
        self.member.after_standing(self.member.settings.heartbeat_ns * 5, self._keep_peers)

    def _disk_trouble(self, error: OSError | None) -> None:
        self.clock.wake()
        if error is None:
            print("kubesim etcd: the disk works again", file=sys.stderr, flush=True)
            self.context.refuse_writes(None)
            return
        print(f"kubesim etcd: cannot write the log: {error}", file=sys.stderr, flush=True)
        told: EtcdError = NoSpace() if is_full(error) else Refused(UNAVAILABLE, f"etcdserver: cannot write the log: {error.strerror}")
        self.context.refuse_writes(told)

    # -- sockets

    async def _listen_peers(self) -> None:
        tls = self.flags.peer_tls
        for url in urls(self.flags.listen_peer_urls, "listen-peer-urls"):
            await self._listen(url, lambda: Incoming(self.peers), tls, "peer-", ["kubesim-peer"])

    async def _listen_clients(self) -> None:
        for url in urls(self.flags.listen_client_urls, "listen-client-urls"):
            await self._listen(url, self.front.connection, self.flags.client_tls, "", ["h2", "http/1.1"])

    async def _listen(self, url: str, protocol: Callable[[], asyncio.Protocol], tls: Tls, prefix: str, protocols: list[str]) -> None:
        parts = urlsplit(url)
        context = None
        if parts.scheme == "https":
            if not tls.is_given:
                raise BadFlags(f"{url} needs --{prefix}cert-file and --{prefix}key-file")
            context = server_tls_of(tls, prefix, protocols)
        try:
            server = await self.loop.create_server(protocol, parts.hostname, parts.port or 0, ssl=context, backlog=BACKLOG)
        except OSError as error:
            raise CannotStart(f"cannot listen on {url}: {_reason(error)}") from None
        self._servers.append(server)

    # -- end

    async def run(self) -> None:
        """Serve until told to stop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self.loop.add_signal_handler(number, self.stopped.set)
        await self.stopped.wait()
        self.stop()
        await asyncio.sleep(0)

    def stop(self) -> None:
        """End all connections, hand leadership to nobody, and close the files."""
        for server in self._servers:
            server.close()
        if hasattr(self, "front"):
            self.clock.wake()
            self.member.stop()
            self.front.close()
        if hasattr(self, "peers"):
            self.peers.close()
        if hasattr(self, "clock"):
            self.clock.stop()
        if hasattr(self, "_disk"):
            self._disk.close()
        self.directory.close()


def _reason(error: OSError) -> str:
    return "address already in use" if error.errno == 98 else os.strerror(error.errno) if error.errno else str(error)


def server_tls_of(tls: Tls, prefix: str, protocols: list[str]) -> ssl.SSLContext:
    """Return the TLS of a listener. Raises BadFlags."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, tls, prefix)
    if tls.client_cert_auth:
        context.verify_mode = ssl.CERT_REQUIRED
    elif tls.trusted_ca_file:
        context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(protocols)
    return context


def client_tls_of(tls: Tls) -> ssl.SSLContext | None:
    """Return the TLS of connections to other members, None without certificates. Raises BadFlags."""
    if not tls.is_given:
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.check_hostname = False
    if not tls.trusted_ca_file:
        context.verify_mode = ssl.CERT_NONE
    _load(context, tls, "peer-")
    return context


def _load(context: ssl.SSLContext, tls: Tls, prefix: str) -> None:
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
        if tls.trusted_ca_file:
            context.load_verify_locations(tls.trusted_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadFlags(f"cannot load --{prefix}cert-file, --{prefix}key-file or --{prefix}trusted-ca-file: {error}") from None


def _crash(loop: asyncio.AbstractEventLoop, fault: dict[str, object]) -> None:
    """End the process: an invariant is broken, and going on could break more. What was acknowledged is on the disk."""
    error = fault.get("exception")
    print(f"kubesim etcd: a fault of its own, the process ends: {fault.get('message')}", file=sys.stderr)
    if isinstance(error, BaseException):
        traceback.print_exception(error, file=sys.stderr)
    sys.stderr.flush()
    os._exit(CRASHED)


async def serve(flags: Flags) -> None:
    """Run a member to its end. Raises CannotStart, BadFlags, BadDataDir."""
    process = Process(flags, asyncio.get_running_loop())
    try:
        await process.start()
    except BaseException:
        with contextlib.suppress(Exception):
            process.stop()
        raise
    asyncio.get_running_loop().set_exception_handler(_crash)
    listening = ", ".join(urls(flags.listen_client_urls, "listen-client-urls"))
    print(f"kubesim etcd: {flags.name} serves clients at {listening}", file=sys.stderr, flush=True)
    await process.run()


__all__ = ["BadDataDir", "BadFlags", "CannotStart", "Process", "serve"]
