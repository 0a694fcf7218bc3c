"""``kubesim serve`` as a process: from flags to a listening server with a cluster behind it, and back to nothing."""

import asyncio
import contextlib
import gc
import logging
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.parts.privileged import forbid_privileged
from kubesim.apiserver.bootstrap import bootstrap_requests
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.client.link import DirectLink
from kubesim.cluster import apply as applying
from kubesim.cluster.assemble import Parts, link_of, start_controllers, start_kubelets, start_scheduler
from kubesim.cluster.config import SEED_MAX, ClusterConfig, configure
from kubesim.drive import virtual
from kubesim.drive.guest import Guest
from kubesim.drive.session import GC_THRESHOLDS
from kubesim.drive.stepped import Stepped
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import EPOCH_NS, SECOND
from kubesim.server.apiserver import certificates, kubeconfig
from kubesim.server.apiserver.app import App
from kubesim.server.apiserver.audit import Audit, read_policy
from kubesim.server.apiserver.bootstrap import USER, bootstrap, is_missing
from kubesim.server.apiserver.bootstrap import bootstrap_requests as served_requests
from kubesim.server.apiserver.containers import Containers
from kubesim.server.apiserver.control import Control
from kubesim.server.apiserver.custom_routes import CustomRoutes
from kubesim.server.apiserver.expression_authorizer import decider
from kubesim.server.apiserver.faults import Faults
from kubesim.server.apiserver.flags import BadFlags, Flags
from kubesim.server.apiserver.hooks import HttpHooks
from kubesim.server.apiserver.identity import IdentityLease
from kubesim.server.apiserver.issuer import Issuer
from kubesim.server.apiserver.journal import BadJournal, Journal, Saved
from kubesim.server.apiserver.openapi import OpenApi
from kubesim.server.apiserver.pages import Pages
from kubesim.server.apiserver.protocol import Protocol, SocketProtocol
from kubesim.server.apiserver.rbac import AlwaysAllow, Rbac
from kubesim.server.apiserver.remote import Remote, RemoteServer
from kubesim.server.apiserver.reviews import Reviews
from kubesim.server.apiserver.routes import Routes
from kubesim.server.apiserver.streams import Streams
from kubesim.server.apiserver.users import Authenticator, read_token_file
from kubesim.server.etcd.client import RemoteEtcd
from kubesim.workload import manifests

HOST = "kubesim"  # of the simulated machine that the server runs on
BOOT_NS_MAX = 60 * SECOND  # of virtual time, for the nodes to register
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 180
WATCH_HISTORY_EVENTS_MAX = 10_000
STOP_SECONDS_MAX = 2
TICK_SECONDS = 0.1


class CannotStart(Exception):
    """Why there will be no server; the message is one sentence for the user."""


class Process:
    """One server and the cluster behind it."""

    def __init__(self, flags: Flags, sources: Sequence[str] = ()) -> None:
        self.flags = flags
        self._sources = sources
        self.socket: socket.socket
        self.app: App
        self.guest: Guest | Stepped
        self.server: _Server
        self.has_fallen_behind = False
        self._remote: Remote | None = None
        self.certificates: certificates.Directory
        self.cluster_parts: tuple[ClusterConfig, Parts] | None = None  # of a cluster that is whole
        self._temporary: str = ""
        self.kubeconfig_path: Path
        self._closers: list[Any] = []
        self._journal: Journal | None = None
        self._client_authority = ""

    @property
    def url(self) -> str:
        """Where clients find the server."""
        host = self.flags.bind_address
        return f"https://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{self.socket.getsockname()[1]}"

    def listen(self) -> None:
        """Take the port, so that what is wrong with it is known before anything else. Raises CannotStart."""
        flags = self.flags
        family = socket.AF_INET6 if ":" in flags.bind_address else socket.AF_INET
        # With the protocol named, asyncio switches Nagle's algorithm off; else an answer in two parts waits 40 ms for an ACK.
        self.socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((flags.bind_address, flags.port))
        except OSError as error:
            raise CannotStart(f"cannot listen on {flags.bind_address}:{flags.port}: {error.strerror}") from None

    async def build(self, loop: asyncio.AbstractEventLoop) -> None:
        """Build the cluster and the application. Raises CannotStart, BadFlags."""
        flags = self.flags
        try:
            tokens = read_token_file(flags.token_auth_file) if flags.token_auth_file else {}
            policy = read_policy(flags.audit_policy_file) if flags.audit_policy_file else None
            config = configure(int(flags.nodes) if flags.nodes.removeprefix("-").isdecimal() else flags.nodes, flags.seed)
            files = [manifests.read(path) for source in self._sources for path in manifests.sources(source)]
        except ValueError as error:
            raise BadFlags(str(error)) from None
        saved = self._open_journal()
        # Another life draws other numbers: a uid of the one before must not come again.
        seed = flags.seed ^ (saved.last_revision << 1) if saved is not None else flags.seed
        is_stepped = flags.time == "stepped"
        remote = await self._connect(files) if flags.etcd_servers else None
        if remote is not None:
            seed ^= remote.identity << 1
        start_ns = EPOCH_NS if is_stepped else time.time_ns() - (BOOT_NS_MAX if remote is None else 0)
        kernel = Kernel(seed & SEED_MAX, start_ns)
        etcd = LocalEtcd(kernel)
        if self._journal is not None and saved is not None:
            self._journal.restore(saved, etcd.state, kernel.now_ns)
        if self._journal is not None:
            self._journal.attach(etcd.store)
        kinds = KINDS if flags.allows_privileged() else forbid_privileged(KINDS)
        options: dict[str, Any] = {
            "kinds": kinds, "profile": flags.profile(), "service_cidr": flags.service_cluster_ip_range,
            "compaction_ns": flags.compaction_ns(), "track_fields": True, "watch_history_events_max": WATCH_HISTORY_EVENTS_MAX,
        }  # fmt: skip
        server: ApiServer
        if remote is None:
            server = ApiServer(kernel, etcd, **options)
            bootstrap(server, self._served_requests(server))
        else:
            server = await self._join(kernel, loop, remote, options)
        IdentityLease(server, HOST if remote is None else f"{HOST}-{self.socket.getsockname()[1]}", USER).renew()
        authorizer = AlwaysAllow() if "AlwaysAllow" in flags.authorization_mode.split(",") else Rbac(server)
        chosen = flags.chosen_components()
        links: list[DirectLink] = []
        controllers = None
        if "controller-manager" in chosen:
            controllers = start_controllers(config, kernel, server, flags.chosen_controllers(), links=links)
        scheduler = start_scheduler(config, kernel, server, links) if "scheduler" in chosen else None
        kubelets = start_kubelets(config, kernel, server, links) if "kubelet" in chosen else None
        if controllers is not None and scheduler is not None and kubelets is not None and remote is None:
            link = partial(link_of, config, kernel, server, links=links)
            self.cluster_parts = config, Parts(kernel, etcd, server, controllers, scheduler, kubelets, link, links)
        if remote is None:
            virtual.run(kernel, kernel.now_ns + BOOT_NS_MAX, until_quiet=True)
            kernel.run_due(EPOCH_NS + BOOT_NS_MAX if is_stepped else max(kernel.now_ns, time.time_ns()))
            self.guest = Stepped(kernel, loop) if is_stepped else Guest(kernel, loop, flags.time_scale)
        try:
            for manifest in files:
                applying.apply(server, manifest)
        except ApiError as error:
            raise CannotStart(error.message) from None
        routes = Routes()
        CustomRoutes(routes, server.custom_resources)
        keeps_keys = flags.data_dir or flags.cert_dir
        key_path = self._certificate_directory(Path(flags.data_dir)) / "sa.key" if keeps_keys else None
        issuer = Issuer(server, flags.service_account_issuer, key_path)
        authenticator = Authenticator(tokens, issuer.user_of, flags.anonymous_auth)
        server.outside = HttpHooks(server, self.guest.wake)
        server.dynamic.decide = decider(authorizer)
        app = self.app = App(server, self.guest.wake, routes, authenticator, authorizer)
        app.journal = self._journal
        app.remote = remote
        if policy is not None and flags.audit_log_path:
            try:
                app.audit = Audit(policy, flags.audit_log_path, lambda: server.kernel.now_ns, kernel.rng("kube-apiserver/audit").uuid)
            except OSError as error:
                raise CannotStart(f"--audit-log-path {flags.audit_log_path}: {error.strerror}") from None
            self._closers.append(app.audit.close)
        faults = app.faults = Faults(kernel.rng, server.store, lambda: kernel.now_ns)
        faults.add(flags.faults())
        app.control = Control(server, self.guest, faults)
        self.guest.is_watched = lambda: bool(app.streams)
        app.operations.components = chosen
        app.channels = Streams(Containers(server, kubelets), self.guest.wake, lambda: app.is_stopping)
        place = f"{flags.advertise_address}:{flags.advertise_port}"
        app.pages = Pages(routes, app.encoder, place, lambda: app.is_stopping, app.metrics, OpenApi(routes), issuer)
        app.reviews = Reviews(server, app.encoder, authenticator, authorizer, issuer)

    async def _connect(self, files: list[Any]) -> Remote:
        """Reach the etcd of ``--etcd-servers`` and copy it. Raises BadFlags, CannotStart."""
        flags = self.flags
        if files:
            raise BadFlags("MANIFESTS are given; expected none with --etcd-servers: apply them with kubectl")
        try:
            context = ssl.create_default_context(cafile=flags.etcd_cafile or None)
            if flags.etcd_certfile:
                context.load_cert_chain(flags.etcd_certfile, flags.etcd_keyfile)
        except (OSError, ssl.SSLError) as error:
            raise CannotStart(f"the certificates for --etcd-servers: {error.strerror or error}") from None
        context.set_alpn_protocols(["h2"])
        remote = self._remote = Remote(RemoteEtcd(flags.endpoints(), context))
        try:
            await remote.start()
        except EtcdError as error:
            raise CannotStart(f"--etcd-servers {flags.etcd_servers}: {error}") from None
        return remote

    async def _join(self, kernel: Kernel, loop: asyncio.AbstractEventLoop, remote: Remote, options: dict[str, Any]) -> RemoteServer:
        """A server over an etcd elsewhere; what every cluster has is there at the end. Raises CannotStart."""
        self.guest = Guest(kernel, loop, self.flags.time_scale)
        remote.wake = self.guest.wake
        remote.on_behind = self._fall_behind
        server = RemoteServer(kernel, remote, **options)
        for request in (*bootstrap_requests(), *self._served_requests(server)):
            if is_missing(server, request):
                outcome = await server.settled(request)
                if isinstance(outcome, ApiError) and outcome.code not in (404, 409):
                    raise CannotStart(f"--etcd-servers {self.flags.etcd_servers}: {outcome.message}")
        server.custom_resources.start()
        server.has_quotas = bool(server.peek_all("resourcequotas"))
        return server

    def _served_requests(self, server: ApiServer) -> Iterator[Request]:
        flags = self.flags
        place = (flags.service_cluster_ip_range, flags.advertise_address, flags.advertise_port)
        return served_requests(server.now_text(), self._client_authority, *place)

    def _fall_behind(self) -> None:
        print("kubesim serve: etcd has compacted what this server had not seen yet; it ends, and can be started again", file=sys.stderr)
        self.has_fallen_behind = True
        if hasattr(self, "server"):
            self.server.end()

    def _open_journal(self) -> Saved | None:
        if not self.flags.data_dir:
            return None
        try:
            self._journal = Journal(Path(self.flags.data_dir) / "log")
            self._closers.append(self._journal.close)
            return self._journal.read()
        except BadJournal as error:
            raise CannotStart(str(error)) from None

    def _certificate_directory(self, home: Path) -> Path:
        return Path(self.flags.cert_dir) if self.flags.cert_dir else home / "pki"

    def write_files(self) -> ssl.SSLContext:
        """Write certificates and kubeconfig; return the TLS of the listener. Raises CannotStart."""
        flags = self.flags
        if flags.data_dir:
            home = Path(flags.data_dir)
        else:
            self._temporary = tempfile.mkdtemp(prefix="kubesim-")
            home = Path(self._temporary)
        try:
            files = self.certificates = certificates.Directory(
                self._certificate_directory(home), [flags.bind_address, flags.advertise_address]
            )
            self._client_authority = files.authority.certificate.decode()
            self.kubeconfig_path = Path(flags.kubeconfig) if flags.kubeconfig else home / "kubeconfig"
            kubeconfig.write(self.kubeconfig_path, kubeconfig.kubeconfig(self.url, files.authority.certificate, files.admin))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files.file("apiserver.crt"), files.file("apiserver.key"))
            context.load_verify_locations(files.file("ca.crt"))
            if flags.client_ca_file:
                context.load_verify_locations(flags.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise CannotStart(f"{getattr(error, 'filename', None) or flags.client_ca_file}: {error.strerror or error}") from None
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def run(self, on_ready: Callable[[], object] | None = None) -> None:
        """Serve until told to stop. Raises CannotStart, BadFlags.

        A process of its own says where it is, takes the signals and the collector; in somebody else's, ``on_ready`` is called.
        """
        self.flags.check()
        try:
            await self._run(on_ready)
        finally:
            if self._remote is not None:
                self._remote.close()

    async def _run(self, on_ready: Callable[[], object] | None) -> None:
        self.listen()
        loop = asyncio.get_running_loop()
        context = self.write_files()
        await self.build(loop)
        config = uvicorn.Config(
            self.app, http=Protocol, ws=SocketProtocol, lifespan="off", log_level=logging.CRITICAL, access_log=False, server_header=False,
            backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=STOP_SECONDS_MAX, interface="asgi3",
            proxy_headers=False,
        )  # fmt: skip
        config.load()
        config.ssl = context
        server = self.server = _Server(config, self.app, takes_signals=on_ready is None)
        self.guest.wake()
        self.socket.listen(BACKLOG)
        if on_ready is None:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            print(f"kubesim serve: {self.url} kubeconfig {self.kubeconfig_path}", flush=True)
        else:
            on_ready()
        await server.serve([self.socket])

    def close(self) -> None:
        """Stop the clock, close what is open, take away what was temporary."""
        if hasattr(self, "guest"):
            self.guest.stop()
        for close in self._closers:
            close()
        if hasattr(self, "socket"):
            self.socket.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)


class _Server(uvicorn.Server):
    """uvicorn's server; the first signal ends the streams, so that it can wait for the rest."""

    def __init__(self, config: uvicorn.Config, app: App, takes_signals: bool) -> None:
        super().__init__(config)
        self._app = app
        self._takes_signals = takes_signals
        self._is_told = asyncio.Event()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop."""
        self._app.stop()
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """Stop at once, without waiting for clients; from the loop's own thread."""
        self._app.stop()
        self.should_exit = self.force_exit = True
        self._is_told.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is open: with time for clients to take their answers, or at once."""
        if not self.force_exit:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    async def main_loop(self) -> None:
        """Tick as uvicorn does, and notice at once when it is told to end."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._is_told.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Take the two signals that end a process, and do not raise them again afterwards: the stop is complete by then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM) if self._takes_signals else ():
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loops where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def run(flags: Flags, sources: Sequence[str] = ()) -> None:
    """Run a server to its end. Raises CannotStart, BadFlags."""
    process = Process(flags, sources)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(process.run())
    finally:
        process.close()
    if process.has_fallen_behind:
        raise SystemExit(1)
