"""A load balancer for connections (layer 4) as haproxy and keepalived are one: a host of the network that passes messages on.

A client sends ``("c", connection, payload)`` to whoever holds the virtual address; the first message of a connection opens it and chooses
its backend, which gets ``("c", (client, connection), payload)`` and answers ``("s", (client, connection), payload)``. A connection that a
balancer does not know (it was opened at the other one), whose backend is down or whose backend hangs up is answered ``("closed",
connection)``; ``("refused", connection)`` when there is no healthy backend, so that nothing can have happened.

Backends are asked ``("health", number)`` and answer ``("healthy", number, is_ready)``; balancers tell each other ``("vrrp", priority)``.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.cloud.balancing import ALGORITHMS, ROUND_ROBIN, Health, HealthCheck, choose
from kubesim.cloud.vrrp import Vrrp, VrrpSettings
from kubesim.kernel.loop import PRIORITY_STANDING, Kernel
from kubesim.kernel.network import Network

Connection = tuple[str, Any]  # (client's host, its number)


class VirtualAddress:
    """An address that one of several hosts holds: what the network has learnt by the last gratuitous ARP."""

    def __init__(self, kernel: Kernel, holder: str) -> None:
        self._kernel = kernel
        self.holder = holder
        self.moves: list[tuple[int, str]] = []  # (time, the new holder)

    def claim(self, host: str) -> None:
        """Take the address."""
        if host != self.holder:
            self.holder = host
            self.moves.append((self._kernel.now_ns, host))


class LoadBalancer:
    """One balancer on ``host``; ``peers`` are the other hosts that may hold the address."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        host: str,
        backends: Sequence[str],
        address: VirtualAddress,
        *,
        peers: Sequence[str] = (),
        vrrp: VrrpSettings | None = None,
        algorithm: str = ROUND_ROBIN,
        check: HealthCheck | None = None,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm is {algorithm!r}; expected one of {', '.join(ALGORITHMS)}")
        if not backends:
            raise ValueError("backends is empty; expected at least one host")
        self.host = host
        self.backends = tuple(backends)
        self.peers = tuple(peers)
        self.algorithm = algorithm
        self.check = check or HealthCheck()
        self.settings = vrrp or VrrpSettings()
        self.address = address
        self.is_running = False
        self.connection_count = 0  # ever opened
        self.health: dict[str, Health] = {}
        self.connections: dict[Connection, str] = {}
        self.open_counts: dict[str, int] = {}
        self._kernel = kernel
        self._network = network
        self._vrrp = Vrrp(self.settings, kernel.now_ns)
        self._epoch = 0
        self._check_number = 0
        self._paused: list[tuple[Any, tuple[Any, ...]]] | None = None
        self._unanswered: dict[str, int] = {}  # backend -> the check that it has not answered
        network.add_host(host, self.receive)

    # -- life

    def start(self) -> None:
        """Start: all backends are taken for healthy until the checks say otherwise, as haproxy does."""
        self._epoch += 1
        self.is_running = True
        self.health = {backend: Health(self.check) for backend in self.backends}
        self.connections, self.open_counts, self._unanswered = {}, {}, {}
        self._vrrp = Vrrp(self.settings, self._kernel.now_ns)
        if self.address.holder == self.host:
            self._vrrp.deadline_ns = self._kernel.now_ns
        self._later(0, self._look_at_address)
        self._later(self.check.interval_ns, self._look_at_backends)

    def restart(self) -> None:
        """Start unless it runs."""
        if not self.is_running:
            self.start()

    def stop(self) -> None:
        """End at once, and tell nobody: clients find out."""
        self.is_running = False
        self._paused = None

    def pause(self) -> None:
        """Stop doing anything, as SIGSTOP does; what comes in waits."""
        if self.is_running and self._paused is None:
            self._paused = []

    def resume(self) -> None:
        """Go on with what has waited."""
        held, self._paused = self._paused or [], None
        for function, arguments in held:
            function(*arguments)

    def _later(self, delay_ns: int, function: Any, *arguments: Any) -> None:
        self._kernel.after(delay_ns, self._enter, self._epoch, function, arguments, priority=PRIORITY_STANDING)

    def _enter(self, epoch: int, function: Any, arguments: tuple[Any, ...]) -> None:
        if not self.is_running or epoch != self._epoch:
            return
        if self._paused is not None:
            self._paused.append((function, arguments))
        else:
            function(*arguments)

    # -- the address

    def _look_at_address(self) -> None:
        now_ns = self._kernel.now_ns
        if self._vrrp.expire(now_ns):
            self._claim()
            self._advertise()
        self._later(max(self._vrrp.deadline_ns - now_ns, 0), self._look_at_address)

    def _claim(self) -> None:
        """Take the address, if anybody hears the ARP: a host that is cut off tells nobody."""
        if any(self._network.reaches(self.host, other) for other in (*self.peers, *self.backends)):
            self.address.claim(self.host)

    def _advertise(self) -> None:
        for peer in self.peers:
            self._network.send(self.host, peer, ("vrrp", self.settings.priority))

    def _hear(self, source: str, priority: int) -> None:
        was_master = self._vrrp.is_master
        if self._vrrp.hear(priority, source > self.host, self._kernel.now_ns):
            self._advertise()
        if self._vrrp.is_master and self._vrrp.is_master == was_master:
            self._claim()  # keepalived repeats its ARP when it hears a lower one

    # -- backends

    @property
    def healthy(self) -> list[str]:
        """The backends that get new connections."""
        return [backend for backend in self.backends if self.health[backend].is_up]

    def _look_at_backends(self) -> None:
        self._check_number += 1
        for backend in self.backends:
            self._unanswered[backend] = self._check_number
            self._network.send(self.host, backend, ("health", self._check_number))
        timeout_ns = min(self.check.timeout_ns, self.check.interval_ns)
        self._later(timeout_ns, self._judge, self._check_number)
        self._later(self.check.interval_ns, self._look_at_backends)

    def _judge(self, number: int) -> None:
        for backend in [backend for backend, waited in self._unanswered.items() if waited == number]:
            self._note(backend, False)

    def _note(self, backend: str, is_good: bool) -> None:
        self._unanswered.pop(backend, None)
        if self.health[backend].note(is_good) and not is_good:
            for connection in [known for known, chosen in self.connections.items() if chosen == backend]:
                self._close(connection)

    # -- messages

    def receive(self, source: str, message: tuple[Any, ...]) -> None:
        """Take a message from a client, a backend or the other balancer."""
        if self._paused is not None:
            self._paused.append((self.receive, (source, message)))
            return
        if not self.is_running:
            if message[0] == "c":
                self._network.send(self.host, source, ("refused", message[1]))
            return
        kind, key = message[0], message[1]
        if kind == "c":
            self._from_client((source, key), message[2])
        elif kind == "s":
            if key in self.connections:
                self._network.send(self.host, key[0], ("s", key[1], message[2]))
        elif kind == "healthy":
            if self._unanswered.get(source) == key:
                self._note(source, message[2])
        elif kind == "vrrp":
            self._hear(source, key)
        elif kind == "close":
            self._forget((source, key))
        elif key in self.connections:  # closed or refused by its backend
            self._close(key)

    def _from_client(self, connection: Connection, payload: Any) -> None:
        backend = self.connections.get(connection)
        if backend is None:
            if payload[0] != "open":
                self._network.send(self.host, connection[0], ("closed", connection[1]))
                return
            backend = choose(self.algorithm, self.healthy, self.connection_count, connection[0], self.open_counts)
            if backend is None:
                self._network.send(self.host, connection[0], ("refused", connection[1]))
                return
            self.connection_count += 1
            self.connections[connection] = backend
            self.open_counts[backend] = self.open_counts.get(backend, 0) + 1
        self._network.send(self.host, backend, ("c", connection, payload))

    def _close(self, connection: Connection) -> None:
        if self._forget(connection):
            self._network.send(self.host, connection[0], ("closed", connection[1]))

    def _forget(self, connection: Connection) -> bool:
        backend = self.connections.pop(connection, None)
        if backend is None:
            return False
        self.open_counts[backend] -= 1
        self._network.send(self.host, backend, ("close", connection))
        return True
