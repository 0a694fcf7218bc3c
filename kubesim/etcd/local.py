"""etcd with one member, in process: every request is answered at once, and leases end by the kernel's agenda.

The shell over ``requests.execute``: it adds the time, chooses lease numbers and revokes what has expired. One agenda entry serves all
leases, at the first deadline, so leases that are renewed or far off cost nothing in between. It is a standing entry: a lease that may
end some day does not keep a cluster from being quiet.
"""

from typing import Any

from kubesim._core.agenda import PRIORITY_STANDING, TIME_NS_MAX
from kubesim._core.revision_store import RevisionStore
from kubesim.etcd.lease import Leases
from kubesim.etcd.requests import Request, execute, put_if
from kubesim.etcd.state import State
from kubesim.etcd.watch import WatchHub
from kubesim.kernel.loop import Kernel

LEASE_ID_MAX = (1 << 63) - 1


class LocalEtcd:
    """An etcd of one member on a kernel.

    >>> etcd = LocalEtcd(Kernel())
    >>> etcd.execute(("put_if", b"/registry/a", {"n": 1}, 0))
    2
    >>> etcd.execute(("get", b"/registry/a")).value
    {'n': 1}
    """

    def __init__(self, kernel: Kernel, name: str = "etcd") -> None:
        self._kernel = kernel
        self._state = State()
        self._lease_ids = kernel.rng(f"{name}/lease")
        self._watches = WatchHub(kernel, self._state.store)
        self._put_if = self._state.store.put_if
        self._look_handle = 0
        self._look_ns: int | None = None

    @property
    def store(self) -> RevisionStore:
        """The store itself, for reads, ``changes`` and ``on_change``."""
        return self._state.store

    @property
    def state(self) -> State:
        """The store with its leases: what ``kv.py`` and ``txn.py`` execute against."""
        return self._state

    @property
    def leases(self) -> Leases:
        """The leases, for reading; they change through ``execute``."""
        return self._state.leases

    @property
    def watches(self) -> WatchHub:
        """The watches: ``etcd.watches.watch(key, range_end, start_revision, on_ready)``."""
        return self._watches

    def put_if(self, key: bytes, value: Any, mod_revision: int, lease: int = 0) -> int:
        """Execute ``("put_if", key, value, mod_revision, lease)``, by far the most frequent write, without the way through the table."""
        if not lease:
            return self._put_if(key, value, mod_revision)
        return put_if(self._state, key, value, mod_revision, lease)

    def execute(self, request: Request) -> Any:
        """Execute a request of ``requests.py`` now and return its answer. Raises what ``errors.py`` lists."""
        if request[0] == "grant":
            return self._grant(*request[1:])
        return execute(self._state, self._kernel.now_ns, request)

    def _grant(self, ttl_seconds: int, lease_id: int = 0) -> int:
        answer = execute(self._state, self._kernel.now_ns, ("grant", ttl_seconds, lease_id or self._free_lease_id()))
        self._look_at_the_first_deadline()
        return answer

    def _free_lease_id(self) -> int:
        while True:
            lease_id = self._lease_ids.u64() & LEASE_ID_MAX
            if lease_id and lease_id not in self._state.leases:
                return lease_id

    def _look_at_the_first_deadline(self) -> None:
        look_ns = self._state.leases.next_look_ns()
        if look_ns is not None and look_ns > TIME_NS_MAX:
            look_ns = None  # such a lease outlives the agenda, which ends in the year 2262
        if look_ns == self._look_ns:
            return
        if self._look_ns is not None:
            self._kernel.cancel(self._look_handle)
        self._look_ns = look_ns
        if look_ns is not None:
            self._look_handle = self._kernel.at(look_ns, self._expire, priority=PRIORITY_STANDING)

    def _expire(self) -> None:
        self._look_ns = None
        for lease_id in self._state.leases.expired(self._kernel.now_ns):
            self._state.leases.revoke(lease_id)
        self._look_at_the_first_deadline()
