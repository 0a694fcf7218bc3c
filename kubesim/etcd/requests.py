"""The requests to etcd as plain tuples, and the one function that executes them against a state.

A verb of the apiserver is a generator that yields these tuples and is sent their answers. The direct shell executes them at once
(``local.py``); a quorum replicates the writing ones and executes each when its log has committed it. So ``execute`` is a state machine:
it takes the time from its caller and draws nothing (the shell chooses lease numbers before it asks).

=============================================  ==========================================================================
request                                        answer
=============================================  ==========================================================================
("get", key)                                   KeyValue, or None
("range", key, range_end, revision, limit)     RangeResult; range_end None: one key, b"\\\\0": from key on; revision 0: now
("count", key, range_end)                      int, the live keys of the range
("put", key, value, lease)                     the new revision
("put_if", key, value, mod_revision, lease)    the new revision; 0: the mod revision is another (0 asks for "absent")
("delete_if", key, mod_revision)               the new revision; 0: the mod revision is another, or no such key
("delete_range", key, range_end)               DeleteResult
("txn", TxnRequest)                            TxnResponse; ``txn.py``
("compact", revision)                          None
("grant", ttl_seconds, lease)                  the lease's number; the shell replaces a missing or zero ``lease``
("keep_alive", lease)                          the TTL in seconds; 0: no such lease
("revoke", lease)                              the revision
("time_to_live", lease)                        (seconds left, granted TTL, keys); (-1, 0, []): no such lease
("api", message, encoded)                      a message of etcd's own API, answered by a message; ``replicated.py``
=============================================  ==========================================================================

Trailing zeros may be left out. Errors are those of ``errors.py``; a shell throws them into the generator.
"""

from collections.abc import Callable
from typing import Any

from kubesim._core.revision_store import DeleteResult, KeyValue, RangeResult
from kubesim.etcd.errors import KeyNotProvided, LeaseNotFound
from kubesim.etcd.replicated import apply
from kubesim.etcd.state import State
from kubesim.etcd.txn import TxnRequest, TxnResponse, check_txn, execute_txn

Request = tuple[Any, ...]
READS = frozenset(("get", "range", "count", "time_to_live"))  # the others are for the log of a quorum


def execute(state: State, now_ns: int, request: Request) -> Any:
    """Execute one request at a time and return its answer. Raises what ``errors.py`` lists, ValueError for an unknown request."""
    handler = HANDLERS.get(request[0])
    if handler is None:
        raise ValueError(f"unknown etcd request {request[0]!r}: expected one of {', '.join(HANDLERS)}")
    return handler(state, now_ns, *request[1:])


def _get(state: State, now_ns: int, key: bytes) -> KeyValue | None:
    return state.store.get(key)


def _range(state: State, now_ns: int, key: bytes, range_end: bytes | None = None, revision: int = 0, limit: int = 0) -> RangeResult:
    _require_key(key)
    return state.store.range(key, range_end, revision, limit)


def _count(state: State, now_ns: int, key: bytes, range_end: bytes | None = None) -> int:
    _require_key(key)
    return state.store.range(key, range_end, count_only=True).count


def _put(state: State, now_ns: int, key: bytes, value: Any, lease: int = 0) -> int:
    _require_key(key)
    return state.put(key, value, lease)


def _put_if(state: State, now_ns: int, key: bytes, value: Any, mod_revision: int, lease: int = 0) -> int:
    _require_key(key)
    if not lease:
        return state.store.put_if(key, value, mod_revision)
    return put_if(state, key, value, mod_revision, lease)


def put_if(state: State, key: bytes, value: Any, mod_revision: int, lease: int) -> int:
    """Compare and put with a lease; the new revision, or 0. Raises LeaseNotFound."""
    store, found = state.store, state.leases.get(lease)
    if found is None:
        record = store.get(key)  # etcd looks at the lease only in the branch that it takes
        if mod_revision == (record.mod_revision if record else 0):
            raise LeaseNotFound
        return 0
    revision = store.put_if(key, value, mod_revision, lease)
    if revision:
        state.leases.attach(found, key)
    return revision


def _delete_if(state: State, now_ns: int, key: bytes, mod_revision: int) -> int:
    return state.store.delete_if(key, mod_revision)


def _delete_range(state: State, now_ns: int, key: bytes, range_end: bytes | None = None) -> DeleteResult:
    _require_key(key)
    return state.store.delete_range(key, range_end)


def _txn(state: State, now_ns: int, request: TxnRequest) -> TxnResponse:
    check_txn(request)
    return execute_txn(state, request)


def _compact(state: State, now_ns: int, revision: int) -> None:
    state.store.compact(revision)


def _grant(state: State, now_ns: int, ttl_seconds: int, lease: int) -> int:
    return state.leases.grant(lease, ttl_seconds, now_ns).lease_id


def _keep_alive(state: State, now_ns: int, lease: int) -> int:
    return state.leases.keep_alive(lease, now_ns)


def _revoke(state: State, now_ns: int, lease: int) -> int:
    return state.leases.revoke(lease)


def _time_to_live(state: State, now_ns: int, lease: int) -> tuple[int, int, list[bytes]]:
    return *state.leases.time_to_live(lease, now_ns), state.leases.keys(lease)


def _api(state: State, now_ns: int, message: dict[str, Any], encoded: bytes = b"") -> dict[str, Any]:
    return apply(state, now_ns, message)


def _require_key(key: bytes) -> None:
    if not key:
        raise KeyNotProvided


HANDLERS: dict[str, Callable[..., Any]] = {
    "get": _get,
    "range": _range,
    "count": _count,
    "put": _put,
    "put_if": _put_if,
    "delete_if": _delete_if,
    "delete_range": _delete_range,
    "txn": _txn,
    "compact": _compact,
    "grant": _grant,
    "keep_alive": _keep_alive,
    "revoke": _revoke,
    "time_to_live": _time_to_live,
    "api": _api,
}
