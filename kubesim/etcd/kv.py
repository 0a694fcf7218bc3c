"""etcd's KV requests with every option: range, put, delete range. ``txn.py`` combines them.

Requests and answers are plain records with etcd's field names; a revision of 0 or less means now, an empty ``range_end`` (None) one key.
Everything is answered against a ``State``; nothing here knows of time, encodings or who asks.

Upstream: etcd ``server/etcdserver/txn/{range,put,delete}.go`` and ``api/v3rpc/key.go`` (the checks). Differs: keys of equal rank
in a sorted range keep key order, where etcd's sort is unstable above twelve.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kubesim._core.revision_store import KeyValue
from kubesim.etcd.errors import InvalidSortOption, KeyNotFound, KeyNotProvided, LeaseNotFound, LeaseProvided, ValueProvided
from kubesim.etcd.state import State

ORDERS = ("NONE", "ASCEND", "DESCEND")
SORT_KEYS: dict[str, Callable[[KeyValue], Any]] = {
    "KEY": lambda record: record.key,
    "VERSION": lambda record: record.version,
    "CREATE": lambda record: record.create_revision,
    "MOD": lambda record: record.mod_revision,
    "VALUE": lambda record: record.value,
}


class RangeRequest(NamedTuple):
    """Read a range. Bounds of revisions are inclusive, 0 is no bound; ``keys_only`` is for whoever encodes the answer."""

    key: bytes
    range_end: bytes | None = None
    revision: int = 0
    limit: int = 0
    sort_order: str = "NONE"
    sort_target: str = "KEY"
    count_only: bool = False
    keys_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class PutRequest(NamedTuple):
    """Write one key. ``ignore_value`` and ``ignore_lease`` keep what it has."""

    key: bytes
    value: Any = b""
    lease: int = 0
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRequest(NamedTuple):
    """Delete a range."""

    key: bytes
    range_end: bytes | None = None


class RangeResponse(NamedTuple):
    """``count`` is of the whole range, before filters and limit; ``more`` says that the limit cut; ``revision`` is the head."""

    kvs: list[KeyValue]
    count: int  # type: ignore[assignment]  # etcd's name, which a tuple has for a method
    more: bool
    revision: int


class PutResponse(NamedTuple):
    """``previous`` is the key before."""

    revision: int
    previous: KeyValue | None


class DeleteResponse(NamedTuple):
    """``previous`` are the keys before, in key order."""

    revision: int
    deleted: int
    previous: list[KeyValue]


# -- checks of the request alone ------------------------------------------------------------------------------------------------


def check_range(request: RangeRequest) -> None:
    """Refuse what etcd refuses at its door. Raises KeyNotProvided, InvalidSortOption."""
    if not request.key:
        raise KeyNotProvided
    if request.sort_order not in ORDERS or request.sort_target not in SORT_KEYS:
        raise InvalidSortOption


def check_put(request: PutRequest) -> None:
    """Refuse what etcd refuses at its door. Raises KeyNotProvided, ValueProvided, LeaseProvided."""
    if not request.key:
        raise KeyNotProvided
    if request.ignore_value and request.value:
        raise ValueProvided
    if request.ignore_lease and request.lease:
        raise LeaseProvided


def check_delete(request: DeleteRequest) -> None:
    """Refuse what etcd refuses at its door. Raises KeyNotProvided."""
    if not request.key:
        raise KeyNotProvided


# -- execution ------------------------------------------------------------------------------------------------------------------


def execute_range(state: State, request: RangeRequest) -> RangeResponse:
    """Answer a range. Raises Compacted, FutureRevision.

    An order or a filter reads the whole range first. A target alone sorts too, but only what the limit and one more let through: etcd
    looks at the order when it reads and at the target when it sorts.
    """
    order, target, limit = request.sort_order, request.sort_target, max(request.limit, 0)
    has_filter = any(request[8:])
    is_sorted = target != "KEY" or order == "DESCEND"
    read_max = 0 if order != "NONE" or has_filter else limit + (is_sorted and limit > 0)
    found = state.store.range(request.key, request.range_end, request.revision, read_max, request.count_only)
    if request.count_only or not (is_sorted or has_filter or read_max < limit):
        return RangeResponse(found.kvs, found.count, found.more, found.revision)
    kvs = [record for record in found.kvs if _within(record, request)] if has_filter else found.kvs
    if is_sorted:
        kvs = sorted(kvs, key=SORT_KEYS[target], reverse=order == "DESCEND")
    return RangeResponse(kvs[:limit] if limit else kvs, found.count, 0 < limit < len(kvs), found.revision)


def _within(record: KeyValue, request: RangeRequest) -> bool:
    return (
        request.min_mod_revision <= record.mod_revision
        and request.min_create_revision <= record.create_revision
        and (not request.max_mod_revision or record.mod_revision <= request.max_mod_revision)
        and (not request.max_create_revision or record.create_revision <= request.max_create_revision)
    )


def require_key(state: State, request: PutRequest) -> None:
    """Refuse to keep the value or lease of a key that does not exist. Raises KeyNotFound."""
    if (request.ignore_value or request.ignore_lease) and state.store.get(request.key) is None:
        raise KeyNotFound


def require_lease(state: State, request: PutRequest) -> None:
    """Refuse an unknown lease. Raises LeaseNotFound."""
    if request.lease and request.lease not in state.leases:
        raise LeaseNotFound


def execute_put(state: State, request: PutRequest) -> PutResponse:
    """Write one key. Raises LeaseNotFound, KeyNotFound, in this order (a transaction's check has the other)."""
    require_lease(state, request)
    require_key(state, request)
    previous = state.store.get(request.key)
    value, lease = request.value, request.lease
    if previous is not None:
        value = previous.value if request.ignore_value else value
        lease = previous.lease if request.ignore_lease else lease
    return PutResponse(state.put(request.key, value, lease), previous)


def execute_delete(state: State, request: DeleteRequest) -> DeleteResponse:
    """Delete a range; it makes a revision only if there was something."""
    result = state.store.delete_range(request.key, request.range_end)
    return DeleteResponse(result.revision, result.deleted, result.previous)
