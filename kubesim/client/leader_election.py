"""Leader election by a Lease: who holds it does the work, the others wait until it has not been renewed for its whole duration.

A holder renews every ``retry_ns`` and steps down when it has not succeeded for ``renew_ns``; a candidate looks every ``retry_ns`` and
takes a Lease that it has seen unchanged for ``duration_ns`` by its own clock. So two may believe to lead for a moment when clocks or
processes stop; what they write then is told apart by resourceVersions, as upstream says.

Upstream: client-go/tools/leaderelection, tools/leaderelection/resourcelock/leaselock.go. Differs: no jitter on the retries, so that a
fail-over takes what is configured, to the millisecond.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request
from kubesim.kernel.loop import PRIORITY_NORMAL, PRIORITY_STANDING, Kernel
from kubesim.kernel.time import SECOND, format_micro_time

LEASES = "leases.coordination.k8s.io"
NAMESPACE = "kube-system"


class Sender(Protocol):
    """The way to an apiserver."""

    def ask(self, request: Request, done: Callable[[Any], object]) -> None:
        """Send a request once: no answer is an error after a while."""


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """The flags --leader-elect-lease-duration, -renew-deadline and -retry-period."""

    duration_ns: int = 15 * SECOND
    renew_ns: int = 10 * SECOND
    retry_ns: int = 2 * SECOND

    def __post_init__(self) -> None:
        """Raise ValueError when a holder could not step down before another takes over."""
        if not 0 < self.retry_ns < self.renew_ns < self.duration_ns:
            times = f"retry {self.retry_ns}, renew {self.renew_ns}, duration {self.duration_ns} ns"
            raise ValueError(f"leader election has {times}; expected 0 < retry < renew < duration")


class LeaderElector:
    """One candidate. ``on_started()`` is called when it becomes the holder, ``on_stopped()`` when it is no longer."""

    def __init__(
        self,
        kernel: Kernel,
        link: Sender,
        name: str,
        identity: str,
        on_started: Callable[[], object],
        on_stopped: Callable[[], object],
        settings: ElectionSettings | None = None,
    ) -> None:
        self.kernel = kernel
        self.name = name
        self.identity = identity
        self.settings = settings or ElectionSettings()
        self.is_leader = False
        self.is_running = False
        self._link = link
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._known: Object | None = None  # the Lease as last seen
        self._seen_ns = 0  # when it was last seen to change
        self._deadline = 0  # the handle of the time at which it steps down
        self._round = 0  # an answer to an earlier round is none

    def start(self) -> None:
        """Become a candidate."""
        self.is_running = True
        self._try()

    def stop(self) -> None:
        """End without giving the Lease back, as a process that dies."""
        self.is_running = self.is_leader = False
        self._round += 1
        self.kernel.cancel(self._deadline)

    @property
    def is_overdue(self) -> bool:
        """Whether nobody is known to have held the Lease lately."""
        return not self.is_leader and self.kernel.now_ns - self._seen_ns > 2 * self.settings.retry_ns

    def _try(self) -> None:
        """One round: renew or acquire, and look again after ``retry_ns`` whatever comes of it."""
        if not self.is_running:
            return
        self._round += 1
        # A Lease that was not renewed when it was due will be taken: that is something to wait for.
        priority = PRIORITY_NORMAL if self.is_overdue else PRIORITY_STANDING
        self.kernel.after(self.settings.retry_ns, self._again, self._round, priority=priority)
        if self.is_leader and self._known is not None:
            self._update(self._known, self._round)
        else:
            self._read(self._round)

    def _again(self, number: int) -> None:
        if number == self._round:
            self._try()

    def _step_down(self) -> None:
        """It has not renewed in time."""
        if self.is_leader:
            self.is_leader = False
            self._on_stopped()

    def _read(self, number: int) -> None:
        self._link.ask(Request("get", LEASES, NAMESPACE, self.name), lambda outcome: self._found(number, outcome))

    def _found(self, number: int, outcome: Any) -> None:
        if number != self._round:
            return
        if isinstance(outcome, ApiError):
            if outcome.code == 404:
                self._write("create", self._lease({"name": self.name, "namespace": NAMESPACE}, None), number)
            return
        if self._known is None or self._known["spec"] != outcome["spec"]:
            self._known, self._seen_ns = outcome, self.kernel.now_ns
        self._known = outcome
        holder = (outcome.get("spec") or {}).get("holderIdentity")
        if holder and holder != self.identity and self._seen_ns + self.settings.duration_ns > self.kernel.now_ns:
            return
        self._update(outcome, number)

    def _update(self, lease: Object, number: int) -> None:
        self._write("update", self._lease(lease["metadata"], lease.get("spec") or {}), number)

    def _write(self, verb: str, lease: Object, number: int) -> None:
        request = Request(verb, LEASES, NAMESPACE, self.name, lease)
        self._link.ask(request, lambda outcome: self._written(number, outcome))

    def _written(self, number: int, outcome: Any) -> None:
        if number != self._round:
            return
        if isinstance(outcome, ApiError):
            if self.is_leader and outcome.reason == "Conflict":
                self._read(number)  # somebody has written it, perhaps this one by a request whose answer was lost
            return
        self._known, self._seen_ns = outcome, self.kernel.now_ns
        self.kernel.cancel(self._deadline)
        self._deadline = self.kernel.after(self.settings.renew_ns, self._step_down, priority=PRIORITY_STANDING)
        if not self.is_leader:
            self.is_leader = True
            self._on_started()

    def _lease(self, metadata: Object, spec: Object | None) -> Object:
        now = format_micro_time(self.kernel.now_ns)
        old = spec or {}
        is_mine = old.get("holderIdentity") == self.identity
        transitions = old.get("leaseTransitions", 0) + (0 if is_mine or spec is None else 1)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": self.settings.duration_ns // SECOND,
                "acquireTime": old.get("acquireTime", now) if is_mine else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }
